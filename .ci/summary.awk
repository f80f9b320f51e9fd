# Reads `go test -v` of several packages: one line for a package that passes,
# everything that matters for one that fails, and at the end which tests were
# left out. A test that is left out fails the run: it would prove nothing.

/^=== / || /^ *--- PASS/ { passed += /--- PASS/; next }
/^# / || /^[^ \t]+\.go:[0-9]+:[0-9]+: / { print; next } # the compiler speaks before any package
/^ *--- FAIL/ { failed++ }
/^ *--- SKIP/ { left[++skipped] = $3 " (" last ")" }
/^ok / || /^\?/ || /\[no test files\]$/ { print; fflush(); package = ""; next }
{ package = package $0 "\n"; last = $0; sub(/^ +/, "", last) }
/^FAIL\t/ { printf "%s", package; fflush(); package = ""; bad = 1 }

END {
	printf "%s", package
	for (i = 1; i <= skipped; i++) print "LEFT OUT: " left[i]
	if (!skipped) print "left out: none"
	printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
	exit bad || failed || skipped || !passed
}
