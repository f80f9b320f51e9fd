package api

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"sealpost/directory/harvest"
	"sealpost/directory/store"
)

type noStore struct{ Store }

func (noStore) Authenticate(context.Context, string) (store.Token, error) { return store.Token{}, nil }

type noHarvest struct{}

func (noHarvest) Read(context.Context, io.Reader) (harvest.Learned, error) {
	return harvest.Learned{}, nil
}

// The series that /metrics has from the start are the described ones.
func TestCountedCodesAreTheDescribedOnes(t *testing.T) {
	var spec struct {
		Paths map[string]map[string]struct {
			Responses map[string]any
		}
	}
	if err := yaml.Unmarshal(Description, &spec); err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{Store: noStore{}, Harvester: noHarvest{}, Provisioner: noProvision{}})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for path, methods := range spec.Paths {
		list, _ := a.find(strings.ReplaceAll(path, "{sha256}", "00"))
		for method, op := range methods {
			e, err := choose(list, strings.ToUpper(method))
			if err != nil {
				t.Errorf("%s %s is described and not there", method, path)
				continue
			}
			var want []int
			for code := range op.Responses {
				n, err := strconv.Atoi(code)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, n)
			}
			slices.Sort(want)
			if !slices.Equal(want, e.codes) {
				t.Errorf("%s: counted %v, described %v", e.call, e.codes, want)
			}
			count++
		}
	}
	if count < 8 {
		t.Fatalf("only %d operations are described", count)
	}
}

type noProvision struct{ Provisioner }
