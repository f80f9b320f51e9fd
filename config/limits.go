package config

import "time"

// Limits bound what clients may send, how long they may take, and what
// Sealpost holds in memory.
type Limits struct {
	// The largest message that is taken, as it comes in; a larger one gets 552
	// 5.3.4. A sealed message is about 1.37 times as large: upstream must take
	// that.
	MessageSize Size `yaml:"message_size" default:"50MiB" min:"64KiB" max:"2GiB"`

	// The most recipients of one message; more get 452 4.5.3. RFC 5321 section
	// 4.5.3.1.8 wants at least 100.
	Recipients int `yaml:"recipients" default:"1000" min:"1" max:"50000"`

	// The most connections at once, for each listener; more get 421 4.7.0.
	Connections int `yaml:"connections" default:"1000" min:"1" max:"100000"`

	// The most connections at once from one IPv4 address or IPv6 /64, for each
	// listener. Default: half of `connections`.
	ConnectionsPerClient int `yaml:"connections_per_client" min:"1" max:"100000"`

	// After so many commands in error a connection is closed with 421.
	Errors int `yaml:"errors" default:"20" min:"1" max:"1000"`

	// After so many failed logins in ten minutes, from one IPv4 address or IPv6
	// /64, no more are heard.
	AuthFailures int `yaml:"auth_failures" default:"20" min:"3" max:"100000"`

	// How long a client may take for a command. RFC 5321 section 4.5.3.2.7
	// asks for five minutes.
	CommandTimeout time.Duration `yaml:"command_timeout" default:"5m" min:"1s" max:"1h"`

	// The slowest rate, in bytes a second, at which a client may deliver a
	// message; 0: any, and a stalled client holds its connection for ever.
	MinRate Size `yaml:"min_rate" default:"100" min:"0" max:"1MiB"`

	// The time over which `min_rate` is measured. A client that stalls is cut
	// off after two of these at the latest.
	RateWindow time.Duration `yaml:"rate_window" default:"1m" min:"1s" max:"1h"`

	// How long a stopping server waits for messages that are under way.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" default:"30s" min:"0s" max:"10m"`

	// How much of one message is held in memory; what is larger goes to an
	// unlinked temporary file, encrypted with a key that only the process has.
	MessageMemory Size `yaml:"message_memory" default:"1MiB" min:"64KiB" max:"1GiB"`

	// How much all messages under way together hold in memory, before the
	// smaller ones go to temporary files too.
	TotalMemory Size `yaml:"total_memory" default:"64MiB" min:"1MiB" max:"64GiB"`

	// The folder for temporary files. Default: the system's.
	TempDir Path `yaml:"temp_dir"`

	// Bounds for connections to upstream.
	Upstream UpstreamLimits `yaml:"upstream"`
}

// UpstreamLimits bound connections to upstream, for each server.
type UpstreamLimits struct {
	// The most connections at once; when all are busy, a message waits for one.
	Connections int `yaml:"connections" default:"50" min:"1" max:"10000"`

	// The most messages on one connection before it is replaced.
	MessagesPerConnection int `yaml:"messages_per_connection" default:"500" min:"1" max:"1000000"`

	// How long an idle connection is kept for the next message. It must be
	// shorter than the server's own patience (Postfix: 300s).
	IdleTimeout time.Duration `yaml:"idle_timeout" default:"1m" min:"1s" max:"1h"`

	// How long connecting may take before the next server is tried.
	ConnectTimeout time.Duration `yaml:"connect_timeout" default:"30s" min:"100ms" max:"5m"`

	// How long an answer to a command may take. RFC 5321 section 4.5.3.2 asks
	// for five minutes.
	CommandTimeout time.Duration `yaml:"command_timeout" default:"5m" min:"1s" max:"30m"`

	// How long the answer to the end of the data may take. RFC 5321 section
	// 4.5.3.2.6 asks for ten minutes. The client waits as long.
	EndTimeout time.Duration `yaml:"end_timeout" default:"10m" min:"1s" max:"1h"`
}
