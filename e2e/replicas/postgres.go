package replicas

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/portent-dev/portent/e2e/serverkit"
)

// Postgres is a running PostgreSQL with durable writes.
type Postgres struct {
	URL     string // with user and database; no password is asked for
	process *serverkit.Process
}

// ErrNoPostgres is what StartPostgres fails with when the server is not installed.
var ErrNoPostgres = errors.New("PostgreSQL (initdb, postgres) is not installed")

// StartPostgres makes a database in a folder that is there and starts a server on it, on loopback.
func StartPostgres(ctx context.Context, dir string) (*Postgres, error) {
	bin := postgresBin()
	if bin == "" {
		return nil, ErrNoPostgres
	}
	port, err := serverkit.FreePort(0)
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "portent-replicas-") // the server's user may not be able to reach dir
	if err != nil {
		return nil, err
	}
	p := &Postgres{URL: fmt.Sprintf("postgres://portent@127.0.0.1:%d/postgres?sslmode=disable", port)}
	data := filepath.Join(home, "data")
	initdb, err := unprivileged(home, filepath.Join(bin, "initdb"), "-D", data, "-U", "portent", "-A", "trust", "-E", "UTF8", "--no-sync")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, initdb[0], initdb[1:]...)
	cmd.Dir = home
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	server, err := unprivileged(home, filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=200")
	if err != nil {
		return nil, err
	}
	p.process, err = serverkit.Start(ctx, serverkit.Spec{Name: "PostgreSQL", Path: server[0], Args: server[1:], Dir: home, LogFile: filepath.Join(dir, "postgres.log")})
	if err != nil {
		return nil, err
	}
	for ready := filepath.Join(bin, "pg_isready"); exec.CommandContext(ctx, ready, "-q", "-U", "portent", "-h", "127.0.0.1", "-p", strconv.Itoa(port)).Run() != nil; {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-p.process.Done():
			return nil, fmt.Errorf("PostgreSQL ended: %w; the end of its log:\n%s", p.process.Err(), serverkit.Tail(p.process.LogFile, 15))
		case <-ctx.Done():
			p.Stop()
			return nil, ctx.Err()
		}
	}
	return p, nil
}

// Stop ends the server and deletes its data.
func (p *Postgres) Stop() {
	p.process.Kill()
	_ = os.RemoveAll(p.process.Dir) // a temporary folder
}

// postgresBin is the folder of the server's programs, empty when there is none.
func postgresBin() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian keeps them off PATH
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p)
	}
	return ""
}

// unprivileged is a command that root runs as another user, who gets the folder, since PostgreSQL refuses root.
func unprivileged(home string, command ...string) ([]string, error) {
	if os.Getuid() != 0 {
		return command, nil
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return nil, fmt.Errorf("run PostgreSQL as another user than root: %w", err)
	}
	uid, gid, err := otherUser()
	if err != nil {
		return nil, err
	}
	if err := os.Chown(home, uid, gid); err != nil {
		return nil, err
	}
	return append([]string{setpriv, "--reuid", strconv.Itoa(uid), "--regid", strconv.Itoa(gid), "--clear-groups", "--pdeathsig", "INT", "--"}, command...), nil
}
