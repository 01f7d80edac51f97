package repo

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/klauspost/compress"
	"github.com/klauspost/compress/zstd"
)

// codec compresses and decompresses zstd frames as restic does: one frame, no
// checksum (the envelope has a MAC), content size present, a window that keeps
// memory small. Safe for concurrent use.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() (*codec, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(512<<10),
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderMaxMemory(maxBlob))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	return &codec{enc, dec}, nil
}

// compress appends the frame of plain to dst.
func (c *codec) compress(dst, plain []byte) []byte {
	return c.enc.EncodeAll(plain, slices.Grow(dst, len(plain)+len(plain)/256+64)) // else it grows by steps
}

// decompress appends the content of frame, at most limit bytes, to dst.
func (c *codec) decompress(dst, frame []byte, limit int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(frame); err == nil && h.HasFCS && h.FrameContentSize > uint64(limit) {
		return nil, fmt.Errorf("decompress: content of %d bytes is over the limit", h.FrameContentSize)
	}
	out, err := c.dec.DecodeAll(frame, dst)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(out)-len(dst) > limit {
		return nil, errors.New("decompress: content is over the limit")
	}
	return out, nil
}

// maxFrameWindow bounds, in bytes, how far back a frame may refer. It is what the
// zstd program takes at its highest level; Russet and restic need 512 KiB.
const maxFrameWindow = 128 << 20

// newFrameReader makes a decompressor for text that is read bit by bit. It starts
// no goroutines, and keeps no more than the frame's window and a few blocks.
func newFrameReader() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxFrameWindow))
}

const (
	// sampleSize is how much is looked at before a blob is compressed: in the
	// middle of a short one, a quarter and three quarters into a long one. The
	// head of a photo says little about it.
	sampleSize = 4 << 10
	longSample = 64 << 10 // bytes of a blob from which it is looked at twice
	// minGain is the share, 1/32, that compression must save to be kept:
	// below it every later read would pay for next to nothing.
	minGain = 32
)

// worthwhile tells whether compression of plain is likely to save anything.
// Photos and videos are most of a phone and save nothing.
func worthwhile(plain []byte) bool {
	n := len(plain)
	switch {
	case n < sampleSize/4: // cheap to try
		return true
	case n <= sampleSize:
		return compressible(plain)
	case n < longSample:
		return compressible(plain[(n-sampleSize)/2:][:sampleSize])
	}
	return compressible(plain[n/4:][:sampleSize]) || compressible(plain[n-n/4-sampleSize:][:sampleSize])
}

// estimatedGain is what a sample must promise: of 4 KiB of noise two in five are
// taken for something above 0.02, and one in a hundred above 0.05, below which
// nothing was ever found to save minGain.
const estimatedGain = 0.05

func compressible(sample []byte) bool { return compress.Estimate(sample) > estimatedGain }
