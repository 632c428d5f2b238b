package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
)

// A postgresServer is a real server of its own for this test binary.
type postgresServer struct {
	port int
	cmd  *exec.Cmd
	dir  string
	err  error
	next int
	mu   sync.Mutex
}

var postgres struct {
	sync.Once
	postgresServer
}

func TestMain(m *testing.M) {
	code := m.Run()
	if postgres.cmd != nil {
		_ = postgres.cmd.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = postgres.cmd.Wait()
	}
	if postgres.dir != "" {
		_ = os.RemoveAll(postgres.dir)
	}
	os.Exit(code)
}

// postgresDSN returns the address of a new, empty database. Without PostgreSQL
// on this machine the test is skipped, but in CI it fails.
func postgresDSN(t testing.TB) string {
	t.Helper()
	bin := postgresBin()
	if bin == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("PostgreSQL (initdb, postgres) is not installed")
		}
		t.Skip("PostgreSQL (initdb, postgres) is not installed")
	}
	postgres.Do(func() { postgres.err = postgres.start(bin) })
	require.NoError(t, postgres.err)
	postgres.mu.Lock()
	defer postgres.mu.Unlock()
	postgres.next++
	name := "t" + strconv.Itoa(postgres.next)
	db, err := sql.Open("pgx", postgres.url("postgres"))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(context.Background(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	return postgres.url(name)
}

func (p *postgresServer) url(database string) string {
	return fmt.Sprintf("postgres://portent@127.0.0.1:%d/%s?sslmode=disable", p.port, database)
}

// postgresBin is the folder of the server's programs, empty when there is none.
func postgresBin() string {
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian keeps them off PATH
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

func (p *postgresServer) start(bin string) error {
	var err error
	if p.dir, err = os.MkdirTemp("", "portent-pg-"); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	attr, err := p.unprivileged()
	if err != nil {
		return err
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "portent", "-A", "trust", "-E", "UTF8", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = attr, p.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	p.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(p.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=200")
	p.cmd.SysProcAttr, p.cmd.Dir = attr, p.dir
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return err
	}
	db, err := sql.Open("pgx", p.url("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	for start := time.Now(); ; {
		if err = db.PingContext(context.Background()); err == nil || time.Since(start) > 20*time.Second {
			return err
		}
		<-time.After(20 * time.Millisecond)
	}
}

// unprivileged makes root run the server as another user, since PostgreSQL
// refuses root.
func (p *postgresServer) unprivileged() (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		return attr, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 != nil || err2 != nil {
			continue
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr, os.Chown(p.dir, uid, gid)
	}
	return nil, errors.New("neither user postgres nor nobody exists to run PostgreSQL as")
}
