package replicas

import (
	"errors"
	"os/user"
	"strconv"
)

// otherUser is one that PostgreSQL may run as.
func otherUser() (uid, gid int, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil {
			return uid, gid, nil
		}
	}
	return 0, 0, errors.New("neither user postgres nor nobody exists to run PostgreSQL as")
}
