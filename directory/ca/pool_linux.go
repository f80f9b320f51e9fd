package ca

import "golang.org/x/sys/unix"

// stepBack makes this thread the last one that the system runs. Linux has a
// priority for each thread; one that cannot be lowered is no trouble.
func stepBack() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19) }
