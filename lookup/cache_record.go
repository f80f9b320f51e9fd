package lookup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"sealpost/internal/certificate"
)

// A record is one answer Found as the cache file holds it:
//
//	version, 1 byte
//	time it was obtained, 8 bytes, nanoseconds since 1970
//	digest of the settings that its verdicts depend on, 16 bytes
//	CRC-32C of the key and of everything else, 4 bytes
//	length of the JSON, uvarint; the JSON
//	for each candidate: length of its certificate, uvarint; the certificate
//
// The JSON holds the fields of Answer and Candidate under their own names, so
// that a field which is added there is kept here too.
const (
	recordVersion = 1 // raise it when verdicts become stricter, and old ones must not be believed
	recordHeader  = 1 + 8 + settingsSize + 4
	settingsSize  = 16
	maxRecord     = 1 << 20 // larger answers are not kept
)

// A settings digest stands for everything that a verdict depends on.
type settingsDigest [settingsSize]byte

func digestSettings(settings []byte) (d settingsDigest) {
	sum := sha256.Sum256(settings)
	copy(d[:], sum[:])
	return d
}

// The outer fields hide those of the same name that JSON cannot carry, or that
// only make sense at the moment.
type recordAnswer struct {
	Answer
	Outcome, Stale, At, Asked *int `json:",omitempty"` // known otherwise
	Err                       string
	Candidates                []recordCandidate
}

type recordCandidate struct {
	Candidate
	Cert *int `json:",omitempty"` // stands behind the JSON
}

var (
	errRecord     = errors.New("lookup: damaged record in the cache file")
	errRecordSize = errors.New("lookup: the answer is too large for the cache file")
	castagnoli    = crc32.MakeTable(crc32.Castagnoli)
)

// encodeRecord writes an answer Found.
func encodeRecord(key string, settings settingsDigest, a Answer) ([]byte, error) {
	out := recordAnswer{Answer: a}
	if a.Err != nil {
		out.Err = a.Err.Error()
	}
	for _, c := range a.Candidates {
		out.Candidates = append(out.Candidates, recordCandidate{Candidate: c})
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("lookup: cache file: %w", err)
	}
	rec := make([]byte, recordHeader, recordHeader+len(text)+len(a.Candidates)*2048)
	rec[0] = recordVersion
	binary.BigEndian.PutUint64(rec[1:], uint64(a.At.UnixNano()))
	copy(rec[9:], settings[:])
	rec = binary.AppendUvarint(rec, uint64(len(text)))
	rec = append(rec, text...)
	for _, c := range a.Candidates {
		rec = binary.AppendUvarint(rec, uint64(len(c.Cert.Raw)))
		rec = append(rec, c.Cert.Raw...)
	}
	if len(rec) > maxRecord {
		return nil, errRecordSize
	}
	binary.BigEndian.PutUint32(rec[recordHeader-4:], recordChecksum(key, rec))
	return rec, nil
}

func recordChecksum(key string, rec []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(key))
	sum = crc32.Update(sum, castagnoli, rec[:recordHeader-4])
	return crc32.Update(sum, castagnoli, rec[recordHeader:])
}

// recordTime is when a record's answer was obtained, without looking further.
func recordTime(rec []byte) time.Time {
	if len(rec) < recordHeader {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(rec[1:])))
}

// decodeRecord reads a record. ok is false for one of another version or under
// other settings, which is no error. What it returns does not share rec.
func decodeRecord(key string, settings settingsDigest, rec []byte) (a Answer, ok bool, err error) {
	if len(rec) < recordHeader || len(rec) > maxRecord || binary.BigEndian.Uint32(rec[recordHeader-4:]) != recordChecksum(key, rec) {
		return a, false, errRecord
	}
	if rec[0] != recordVersion || !bytes.Equal(rec[9:9+settingsSize], settings[:]) {
		return a, false, nil
	}
	text, rest, ok := cutRecord(rec[recordHeader:])
	var in recordAnswer
	if !ok || json.Unmarshal(text, &in) != nil {
		return a, false, errRecord
	}
	a = in.Answer
	a.Outcome, a.At = Found, recordTime(rec)
	if in.Err != "" {
		a.Err = errors.New(in.Err)
	}
	usable := false
	for _, c := range in.Candidates {
		var der []byte
		if der, rest, ok = cutRecord(rest); !ok {
			return Answer{}, false, errRecord
		}
		if c.Candidate.Cert, err = certificate.Parse(bytes.Clone(der)); err != nil {
			return Answer{}, false, errRecord
		}
		usable = usable || c.Usable
		a.Candidates = append(a.Candidates, c.Candidate)
	}
	if !usable || len(rest) > 0 {
		return Answer{}, false, errRecord
	}
	return a, true, nil
}

// cutRecord takes a length and that many bytes from the front.
func cutRecord(b []byte) (part, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}
