package spill

import "os"

// createUnlinked makes a file and takes its name away at once.
func createUnlinked(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "sealpost-spill-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
