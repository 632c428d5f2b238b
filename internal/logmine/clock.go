package logmine

import "time"

// readTime reads a time at the start of s in one of the forms that programs print,
// and returns how many bytes it takes and the time in Unix ms; 0 bytes if there is
// none. A form without a date or without a year gives no time (0 ms): a miner has no
// clock to take it from. A form without a zone is read as UTC.
func readTime(s string) (n int, ms int64) {
	if len(s) < 8 {
		return 0, 0
	}
	if classes[s[0]]&isDigit != 0 {
		for _, read := range [...]func(string) (int, int64){readISO, readDayMonthYear, readMailDate, readShortDate, readEpoch, readClockOnly} {
			if n, ms = read(s); n > 0 {
				return n, ms
			}
		}
		return 0, 0
	}
	if len(s) > 20 && s[3] == ',' && s[4] == ' ' && isCalendarWord(s[:3]) {
		if n, ms = readMailDate(s[5:]); n > 0 {
			return 5 + n, ms
		}
	}
	return readSyslogDate(s)
}

// digits reads exactly n digits at i.
func digits(s string, i, n int) (v int, ok bool) {
	if i+n > len(s) {
		return 0, false
	}
	for _, b := range []byte(s[i : i+n]) {
		if b < '0' || b > '9' {
			return 0, false
		}
		v = v*10 + int(b-'0')
	}
	return v, true
}

// readISO reads 2006-01-02T15:04:05.000Z and its kin: dashes, slashes, dots or
// nothing in the date, T, blank, dash, dot or underscore before the time, colons or
// dots in it, a comma, dot or colon before the fraction.
func readISO(s string) (int, int64) {
	year, ok := digits(s, 0, 4)
	if !ok || len(s) < 8 || year < 1970 || year > 2200 {
		return 0, 0
	}
	i := 4
	dated := s[4] == '-' || s[4] == '/' || s[4] == '.'
	if dated {
		i++
	}
	month, ok1 := digits(s, i, 2)
	i += 2
	if dated {
		if i >= len(s) || s[i] != s[4] {
			return 0, 0
		}
		i++
	}
	day, ok2 := digits(s, i, 2)
	i += 2
	if !ok1 || !ok2 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, 0
	}
	if i >= len(s) || s[i] != 'T' && s[i] != ' ' && s[i] != '-' && s[i] != '_' && s[i] != '.' {
		if dated && (i >= len(s) || classes[s[i]]&isDigit == 0) {
			return i, time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).UnixMilli()
		}
		return 0, 0
	}
	n, h, m, sec, nanos := readClock(s[i+1:])
	if n == 0 {
		if dated {
			return i, time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).UnixMilli()
		}
		return 0, 0
	}
	i += 1 + n
	zn, offset := readZone(s[i:])
	t := time.Date(year, time.Month(month), day, h, m, sec, nanos, time.UTC)
	return i + zn, t.UnixMilli() - int64(offset)*1000
}

// readClock reads 15:04:05 with an optional fraction; each part has one or two
// digits, as some programs do not pad them.
func readClock(s string) (n, h, m, sec, nanos int) {
	var part [3]int
	for i := range part {
		start := n
		for n < len(s) && n < start+2 && classes[s[n]]&isDigit != 0 {
			part[i] = part[i]*10 + int(s[n]-'0')
			n++
		}
		if n == start {
			return 0, 0, 0, 0, 0
		}
		if i < 2 {
			if n >= len(s) || s[n] != ':' && s[n] != '.' {
				return 0, 0, 0, 0, 0
			}
			n++
		}
	}
	h, m, sec = part[0], part[1], part[2]
	if h > 24 || m > 59 || sec > 60 || n < len(s) && classes[s[n]]&isDigit != 0 {
		return 0, 0, 0, 0, 0
	}
	if n+1 < len(s) && (s[n] == '.' || s[n] == ',' || s[n] == ':') && classes[s[n+1]]&isDigit != 0 {
		scale := 100_000_000
		for n++; n < len(s) && classes[s[n]]&isDigit != 0; n++ {
			nanos += int(s[n]-'0') * scale
			scale /= 10
		}
	}
	return n, h, m, sec, nanos
}

// readZone reads Z, +02:00, +0200 or " +0200" and returns the offset in seconds.
func readZone(s string) (n, offset int) {
	if s == "" {
		return 0, 0
	}
	if s[0] == 'Z' {
		return 1, 0
	}
	i := 0
	if s[0] == ' ' && len(s) > 5 {
		i = 1
	}
	if s[i] != '+' && s[i] != '-' {
		return 0, 0
	}
	h, ok := digits(s, i+1, 2)
	j := i + 3
	if ok && j < len(s) && s[j] == ':' {
		j++
	}
	m, ok2 := digits(s, j, 2)
	if !ok || !ok2 || h > 15 || m > 59 {
		return 0, 0
	}
	offset = h*3600 + m*60
	if s[i] == '-' {
		offset = -offset
	}
	return j + 2, offset
}

var months = map[string]time.Month{
	"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6, "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12,
}

// readDayMonthYear reads 02/Jan/2006:15:04:05 -0700, as web servers write it.
func readDayMonthYear(s string) (int, int64) {
	day, ok := digits(s, 0, 2)
	if !ok || len(s) < 20 || s[2] != '/' && s[2] != '-' || s[6] != s[2] || months[s[3:6]] == 0 {
		return 0, 0
	}
	year, ok := digits(s, 7, 4)
	if !ok {
		return 0, 0
	}
	n, h, m, sec, nanos := readClock(s[12:])
	if n == 0 {
		return 0, 0
	}
	zn, offset := readZone(s[12+n:])
	return 12 + n + zn, time.Date(year, months[s[3:6]], day, h, m, sec, nanos, time.UTC).UnixMilli() - int64(offset)*1000
}

// readMailDate reads 02 Jan 2006 15:04:05 with a zone behind, as mails and HTTP have it;
// a zone that is a name is read as UTC.
func readMailDate(s string) (int, int64) {
	day, ok := digits(s, 0, 2)
	if !ok || len(s) < 20 || s[2] != ' ' || s[6] != ' ' || months[s[3:6]] == 0 || s[11] != ' ' {
		return 0, 0
	}
	year, ok := digits(s, 7, 4)
	n, h, m, sec, nanos := readClock(s[12:])
	if !ok || n == 0 {
		return 0, 0
	}
	i := 12 + n
	zn, offset := readZone(s[i:])
	if zn == 0 && len(s) >= i+4 && s[i] == ' ' && isCalendarWord(s[i+1:i+4]) && months[s[i+1:i+4]] == 0 {
		zn = 4
	}
	return i + zn, time.Date(year, months[s[3:6]], day, h, m, sec, nanos, time.UTC).UnixMilli() - int64(offset)*1000
}

// readShortDate reads 01-02 15:04:05.000 and 06/01/02 15:04:05.
func readShortDate(s string) (int, int64) {
	a, ok := digits(s, 0, 2)
	if !ok || s[2] != '-' && s[2] != '/' {
		return 0, 0
	}
	b, ok := digits(s, 3, 2)
	if !ok {
		return 0, 0
	}
	if len(s) > 8 && s[5] == s[2] { // 06/01/02
		c, ok := digits(s, 6, 2)
		n, h, m, sec, nanos := readClock(s[min(9, len(s)):])
		if !ok || n == 0 || s[8] != ' ' || b < 1 || b > 12 {
			return 0, 0
		}
		return 9 + n, time.Date(2000+a, time.Month(b), c, h, m, sec, nanos, time.UTC).UnixMilli()
	}
	if n, _, _, _, _ := readClock(s[min(6, len(s)):]); n > 0 && s[5] == ' ' && a >= 1 && a <= 12 {
		return 6 + n, 0
	}
	return 0, 0
}

// readEpoch reads Unix seconds, milliseconds, microseconds or nanoseconds of the
// years 2001 to 2286, with an optional fraction of the second.
func readEpoch(s string) (int, int64) {
	n := 0
	var v int64
	for n < len(s) && n < 19 && classes[s[n]]&isDigit != 0 {
		v = v*10 + int64(s[n]-'0')
		n++
	}
	end := n
	if n == 10 && n+1 < len(s) && s[n] == '.' && classes[s[n+1]]&isDigit != 0 {
		for end++; end < len(s) && classes[s[end]]&isDigit != 0; end++ {
		}
	}
	if end < len(s) && classes[s[end]]&(isSpace|isHard) == 0 {
		return 0, 0
	}
	switch n {
	case 10:
		return end, v * 1000
	case 13:
		return end, v
	case 16:
		return end, v / 1000
	case 19:
		return end, v / 1_000_000
	}
	return 0, 0
}

// readClockOnly reads 15:04:05 with nothing of a date before it.
func readClockOnly(s string) (int, int64) {
	n, _, _, _, _ := readClock(s)
	if n < 8 || s[2] != ':' || n < len(s) && classes[s[n]]&(isLetter|isDigit) != 0 {
		return 0, 0
	}
	return n, 0
}

// readSyslogDate reads Jan _2 15:04:05, with a weekday before and a year behind.
func readSyslogDate(s string) (int, int64) {
	i := 0
	if len(s) > 4 && s[3] == ' ' && months[s[:3]] == 0 && isCalendarWord(s[:3]) {
		i = 4
	}
	if i+15 > len(s) || months[s[i:i+3]] == 0 || s[i+3] != ' ' {
		return 0, 0
	}
	month := months[s[i:i+3]]
	i += 4
	if s[i] == ' ' {
		i++
	}
	day := 0
	for ; i < len(s) && classes[s[i]]&isDigit != 0; i++ {
		day = day*10 + int(s[i]-'0')
	}
	if day < 1 || day > 31 || i+1 >= len(s) || s[i] != ' ' {
		return 0, 0
	}
	n, h, m, sec, nanos := readClock(s[i+1:])
	if n == 0 {
		return 0, 0
	}
	i += 1 + n
	if year, ok := digits(s, min(i+1, len(s)), 4); ok && s[i] == ' ' && year >= 1970 && year < 2200 {
		return i + 5, time.Date(year, month, day, h, m, sec, nanos, time.UTC).UnixMilli()
	}
	return i, 0
}
