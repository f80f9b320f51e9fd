package lookup

import (
	"encoding/binary"
	"errors"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
)

// OpenCacheFileNoSync is OpenCacheFile for a disk that never loses what was
// written.
func OpenCacheFileNoSync(opts CacheFileOptions) (*CacheFile, error) {
	opts.noSync = true
	return OpenCacheFile(opts)
}

// Crash ends the file as the end of its process does: what is not written is
// lost.
func (f *CacheFile) Crash() {
	close(f.stop)
	<-f.done
	f.mu.Lock()
	f.pending, f.writing = map[string]*change{}, nil
	broken := f.broken
	f.mu.Unlock()
	if !broken {
		_ = guarded(f.db.Close)
	}
}

// Names reports whether a certificate with this one address is for addr: exactly,
// or but for case.
func Names(name string, addr address.Address) (exactly, butForCase bool) {
	how := names(&certificate.Certificate{Addresses: []string{name}}, addr)
	return how == exact, how == otherCase
}

// Bounds on what a source may cost.
const (
	MaxVerified    = maxVerified
	MaxFetchRounds = maxFetchRounds
	MaxFetched     = maxFetched
	MaxWhy         = maxWhy
)

// EncodeRecord writes the record of an answer.
func EncodeRecord(key string, settings []byte, a Answer) ([]byte, error) {
	return encodeRecord(key, digestSettings(settings), a)
}

// DecodeRecord reads it back. ok is false for a record under other settings.
func DecodeRecord(key string, settings, rec []byte) (a Answer, ok bool, err error) {
	return decodeRecord(key, digestSettings(settings), rec)
}

// IsDamagedRecord tells the error of a record that is not whole.
func IsDamagedRecord(err error) bool { return errors.Is(err, errRecord) }

// SealRecord gives a record the checksum that it should have.
func SealRecord(key string, rec []byte) []byte {
	if len(rec) >= recordHeader {
		binary.BigEndian.PutUint32(rec[recordHeader-4:], recordChecksum(key, rec))
	}
	return rec
}
