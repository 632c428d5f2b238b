package stack

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// render copies provisioning/ and dashboards/ into the data folder, with the ports that were chosen in the place of those
// that the files name. The files in the checkout work as they are when all ports are free; there is no second set of them.
func (s *Stack) render(o Options) error {
	config := filepath.Join(o.Data, "config")
	if err := os.RemoveAll(config); err != nil { // nothing of an older checkout may stay
		return err
	}
	for _, dir := range []string{"provisioning", "dashboards"} {
		from := os.DirFS(filepath.Join(o.Root, dir))
		err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			to := filepath.Join(config, dir, filepath.FromSlash(name))
			if d.IsDir() {
				return os.MkdirAll(to, 0o755)
			}
			b, err := fs.ReadFile(from, name)
			if err != nil {
				return err
			}
			return os.WriteFile(to, s.replacePorts(b), 0o644)
		})
		if err != nil {
			return fmt.Errorf("copy %s: %w", dir, err)
		}
	}
	return nil
}

var loopback = regexp.MustCompile(`127\.0\.0\.1:(\d+)`)

// replacePorts replaces the ports of loopback addresses by those that were chosen. Other ports stay.
func (s *Stack) replacePorts(b []byte) []byte {
	return loopback.ReplaceAllFunc(b, func(address []byte) []byte {
		for _, p := range ports {
			if string(address) == "127.0.0.1:"+strconv.Itoa(p.port) {
				return []byte("127.0.0.1:" + strconv.Itoa(s.Ports[p.name]))
			}
		}
		return address
	})
}
