package sqlstore

import "database/sql"

// Writer is the connection pool that writes, for tests that spoil the database.
func (s *Store) Writer() *sql.DB { return s.w }
