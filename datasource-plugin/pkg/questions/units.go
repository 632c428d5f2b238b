package questions

// units of internal/ask as Grafana calls them. It is read only.
var units = map[string]string{
	"": "", "bytes": "bytes", "bytes per second": "Bps", "ratio": "percentunit", "percent": "percent", "percentage": "percent", "%": "percent",
	"seconds": "s", "milliseconds": "ms", "ms": "ms", "celsius": "celsius", "cores": "suffix: cores", "lines": "suffix: lines", "days": "d", "hours": "h", "minutes": "m",
	"GB": "decgbytes", "gb": "decgbytes", "MB": "decmbytes", "mb": "decmbytes", "TB": "dectbytes", "tb": "dectbytes", "KB": "deckbytes", "kb": "deckbytes",
	"GiB": "gbytes", "MiB": "mbytes", "TiB": "tbytes", "KiB": "kbytes", "volts": "volt", "amperes": "amp", "joules": "joule", "hertz": "hertz",
}

// Unit returns Grafana's unit of one of internal/ask. One that is not known stands behind the number as it is.
func Unit(unit string) string {
	u, ok := units[unit]
	if !ok {
		return "suffix: " + unit
	}
	return u
}
