package ticketrest

import "strings"

// CheckError lists what in a tracker's configuration does not fit its site. Other
// errors of a check mean that the site could not be asked: a start should go on
// and say so.
type CheckError struct {
	Vendor   string
	Problems []string
}

func (e *CheckError) Error() string {
	return e.Vendor + " configuration does not fit the site: " + strings.Join(e.Problems, "; ")
}
