package capture

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"russet/chunk"
	"russet/index"
	"russet/repo"
)

// blobSaver cuts a stream and saves its pieces. It is saveBlobs or saveBeside.
type blobSaver func(ctx context.Context, w *repo.Writer, split *chunk.Splitter, src io.Reader) (content, error)

// saveBlobs cuts a stream and saves its pieces.
func saveBlobs(ctx context.Context, w *repo.Writer, split *chunk.Splitter, src io.Reader) (content, error) {
	got := content{ids: []chunk.ID{}}
	split.Reset(src)
	for {
		piece, err := split.Next()
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		saved, err := w.Save(ctx, index.Data, piece)
		if err != nil {
			return got, err
		}
		got.ids = append(got.ids, saved.ID)
		got.size += int64(len(piece))
	}
}

// batchSize is how much of short pieces is saved together by another goroutine, in
// bytes. Longer pieces take so long that handing them on gains nothing.
const batchSize = 128 << 10

// batch is pieces that follow one another, and their ids once they are saved.
type batch struct {
	data []byte
	ends []int // of the pieces in data
	ids  []chunk.ID
}

// save saves the pieces.
func (b *batch) save(ctx context.Context, w *repo.Writer) error {
	b.ids = make([]chunk.ID, 0, len(b.ends))
	from := 0
	for _, end := range b.ends {
		saved, err := w.Save(ctx, index.Data, b.data[from:end])
		if err != nil {
			return err
		}
		b.ids = append(b.ids, saved.ID)
		from = end
	}
	return nil
}

// saveBeside is saveBlobs for a file that comes alone: the short pieces of a
// database, which take much longer to save than to cut, are saved by a worker a core
// while the next are cut.
func saveBeside(ctx context.Context, w *repo.Writer, split *chunk.Splitter, src io.Reader) (content, error) {
	split.Reset(src)
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(workers())
	spare := make(chan []byte, workers()+1)
	var batches []*batch
	var open *batch // the last of batches, which is not handed on yet
	handOn := func() {
		if b := open; b != nil {
			group.Go(func() error {
				err := b.save(within, w)
				give(spare, b.data)
				b.data = nil
				return err
			})
		}
		open = nil
	}
	var size int64
	err := func() error {
		for {
			if err := within.Err(); err != nil { // a phone need not send the rest of a database
				return err
			}
			piece, err := split.Next()
			if err != nil {
				return err
			}
			size += int64(len(piece))
			if len(piece) > batchSize {
				handOn()
				saved, err := w.Save(within, index.Data, piece)
				if err != nil {
					return err
				}
				batches = append(batches, &batch{ids: []chunk.ID{saved.ID}})
				continue
			}
			if open != nil && len(open.data)+len(piece) > batchSize {
				handOn()
			}
			if open == nil {
				open = &batch{data: take(spare, batchSize)}
				batches = append(batches, open)
			}
			open.data = append(open.data, piece...)
			open.ends = append(open.ends, len(open.data))
		}
	}()
	handOn()
	if failed := group.Wait(); failed != nil {
		err = failed // of which what came after is a consequence
	}
	if err != io.EOF {
		return content{}, err
	}
	got := content{ids: make([]chunk.ID, 0, len(batches)), size: size}
	for _, b := range batches {
		got.ids = append(got.ids, b.ids...)
	}
	return got, nil
}
