package main

// A target is what Sealpost is to reach: times the messages a second of the
// others in the same run, and milliseconds of processor time a message. Zero
// is no target.
type target struct {
	shape           shape
	system          string
	plain, filter   float64
	cpuMilliseconds float64
}

// The names of the systems that are compared.
const (
	nothing = "source to sink, nothing between"
	plain   = "Postfix, plain relay"
	filter  = "Postfix + `openssl cms` filter"
	cbc     = "Sealpost, AES-256-CBC"
	gcm     = "Sealpost, AES-256-GCM"
	spooled = "Sealpost, CBC, spooled before 250"
)

func targets() []target {
	return []target{
		{shape{5000, 1, 10}, cbc, 10, 100, 0.12},
		{shape{50_000, 1, 10}, cbc, 6, 50, 0.30},
		{shape{1_000_000, 1, 10}, cbc, 2.2, 11, 3.5},
		{shape{1_000_000, 1, 10}, gcm, 2.6, 13, 3.5},
		{shape{50_000, 1, 10}, spooled, 4.5, 40, 0.40},
		{shape{50_000, 20, 10}, cbc, 4.5, 250, 1.2},
		{shape{5000, 1, 50}, cbc, 12, 110, 0.12},
	}
}
