package web_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/alecthomas/kingpin/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/web"
)

func TestFlags(t *testing.T) {
	app := kingpin.New("portent-test", "")
	f := web.AddFlags(app, ":9750")
	_, err := app.Parse(nil)
	require.NoError(t, err)
	require.Equal(t, []string{":9750"}, *f.WebConfig.WebListenAddresses)
	require.Equal(t, "info", f.Log.Level.String())
	require.False(t, f.ConfigCheck)

	app = kingpin.New("portent-test", "")
	f = web.AddFlags(app, ":9750")
	_, err = app.Parse([]string{
		"--config.file=a.yml", "--config.check", "--web.listen-address=:1", "--web.listen-address=[::1]:2",
		"--web.config.file=w.yml", "--log.level=debug", "--log.format=json",
	})
	require.NoError(t, err)
	require.Equal(t, "a.yml", f.ConfigFile)
	require.True(t, f.ConfigCheck)
	require.Equal(t, []string{":1", "[::1]:2"}, *f.WebConfig.WebListenAddresses)
	require.Equal(t, "w.yml", *f.WebConfig.WebConfigFile)
	require.Equal(t, "debug", f.Log.Level.String())
	require.Equal(t, "json", f.Log.Format.String())

	_, err = app.Parse([]string{"--log.level=loud"})
	require.Error(t, err)
}

func TestLoopback(t *testing.T) {
	f := func(address string, want bool) {
		t.Helper()
		require.Equal(t, want, web.Loopback(address), address)
	}
	f("127.0.0.1:9751", true)
	f("127.8.9.10:1", true)
	f("[::1]:9751", true)
	f("[::1%lo]:9751", true)
	f("localhost:9751", true)
	f(":9751", false)
	f("0.0.0.0:9751", false)
	f("[::]:9751", false)
	f("10.0.0.1:9751", false)
	f("localhost.example.com:9751", false)
	f("vsock://:9751", false)
	f("9751", false)
	f("", false)

	require.True(t, web.LoopbackOnly(flags("", "127.0.0.1:1", "[::1]:1")))
	require.False(t, web.LoopbackOnly(flags("", "127.0.0.1:1", ":1")))
	require.False(t, web.LoopbackOnly(flags("")))
	systemd, c := true, flags("", "127.0.0.1:1")
	c.WebSystemdSocket = &systemd
	require.False(t, web.LoopbackOnly(c))

	require.Equal(t, "127.0.0.1:9751", web.OnLoopback(":9751"))
	require.Equal(t, "10.0.0.1:9751", web.OnLoopback("10.0.0.1:9751"))
	require.Equal(t, "nonsense", web.OnLoopback("nonsense"))
}

func TestAuthenticated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	f := func(content string, want bool) {
		t.Helper()
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		got, err := web.Authenticated(file)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f("", false)
	f("http_server_config:\n  http2: false\n", false)
	f("basic_auth_users:\n  ann: $2a$04$5Odvbh1DKny34aytlPg1KOEBIDZ8t8rok2zT2avudR9IHP89Z.Fiq\n", true)
	got, err := web.Authenticated("")
	require.NoError(t, err)
	require.False(t, got)
	_, err = web.Authenticated(file + ".none")
	require.Error(t, err)
}
