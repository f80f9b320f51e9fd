package main

import (
	"errors"
	"path/filepath"
	"testing"

	"sealpost/directory/importer"
	"sealpost/directory/store"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// An import into an empty directory is there as a whole or not at all, and the
// order knows which; into one that has something, what was written stays.
func TestImportBrokenOff(t *testing.T) {
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ca := testkit.NewCA(t)
	broken := errors.New("the disk was pulled out")
	fill := func(who string, fails error) (importer.Report, bool, error) {
		t.Helper()
		cert, err := certificate.Parse(ca.For(t, who).Cert.Raw)
		if err != nil {
			t.Fatal(err)
		}
		return directoryImportCommand{}.fill(t.Context(), db, importer.Options{}, func(yield func(importer.Item) error) error {
			if err := yield(importer.Item{Cert: cert}); err != nil {
				return err
			}
			for range 5000 { // more than is written at once
				if err := yield(importer.Item{Cert: cert}); err != nil {
					return err
				}
			}
			return fails
		})
	}
	has := func(who string, want int) {
		t.Helper()
		found, err := db.Lookup(t.Context(), []string{who})
		if err != nil || len(found[0]) != want {
			t.Errorf("%s: %v, %v", who, found, err)
		}
	}
	if _, kept, err := fill("anna@example.org", broken); kept || !errors.Is(err, broken) {
		t.Errorf("kept %v, %v", kept, err)
	}
	has("anna@example.org", 0)
	if report, kept, err := fill("anna@example.org", nil); !kept || err != nil || report.Added != 1 || report.Known != 5000 {
		t.Errorf("kept %v, %v, %+v", kept, err, report)
	}
	has("anna@example.org", 1)
	if report, kept, err := fill("bert@example.org", broken); !kept || !errors.Is(err, broken) || report.Added != 1 {
		t.Errorf("kept %v, %v, %+v", kept, err, report)
	}
	has("bert@example.org", 1)
}
