package capture

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"russet/chunk"
	"russet/index"
	"russet/repo"
)

// blobSaver cuts the stream of a splitter and saves its pieces. It is saveBlobs or
// saveBeside.
type blobSaver func(ctx context.Context, w *repo.Writer, split *chunk.Splitter) (content, error)

// saveBlobs cuts the stream of a splitter and saves its pieces.
func saveBlobs(ctx context.Context, w *repo.Writer, split *chunk.Splitter) (content, error) {
	got := content{ids: []chunk.ID{}}
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

// batches are the pieces of a stream that are saved by several goroutines. They are
// filled by one.
type batches struct {
	w      *repo.Writer
	ctx    context.Context // done once a batch cannot be saved
	group  *errgroup.Group
	spare  chan []byte // memory of batches that are saved
	all    []*batch
	filled *batch // the last of all, which is not handed on yet; or nil
}

// add adds the next piece, of which nothing is kept.
func (bs *batches) add(piece []byte) error {
	if len(piece) > batchSize {
		bs.handOn()
		saved, err := bs.w.Save(bs.ctx, index.Data, piece)
		bs.all = append(bs.all, &batch{ids: []chunk.ID{saved.ID}})
		return err
	}
	if bs.filled != nil && len(bs.filled.data)+len(piece) > batchSize {
		bs.handOn()
	}
	if bs.filled == nil {
		bs.filled = &batch{data: take(bs.spare, batchSize)}
		bs.all = append(bs.all, bs.filled)
	}
	bs.filled.data = append(bs.filled.data, piece...)
	bs.filled.ends = append(bs.filled.ends, len(bs.filled.data))
	return nil
}

// handOn has the pieces saved that wait for more, once a goroutine is free.
func (bs *batches) handOn() {
	b := bs.filled
	if b == nil {
		return
	}
	bs.filled = nil
	bs.group.Go(func() error {
		err := b.save(bs.ctx, bs.w)
		give(bs.spare, b.data)
		b.data = nil
		return err
	})
}

// saveBeside is saveBlobs for a file that comes alone: the short pieces of a
// database, which take much longer to save than to cut, are saved by a worker a core
// while the next are cut.
func saveBeside(ctx context.Context, w *repo.Writer, split *chunk.Splitter) (content, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers())
	bs := batches{w: w, ctx: ctx, group: group, spare: make(chan []byte, workers()+1)}
	got := content{ids: []chunk.ID{}}
	var err error
	for err == nil {
		var piece []byte
		if err = ctx.Err(); err == nil { // a phone need not send the rest of a database
			piece, err = split.Next()
		}
		if err == nil {
			got.size += int64(len(piece))
			err = bs.add(piece)
		}
	}
	bs.handOn()
	if failed := group.Wait(); failed != nil {
		err = failed // of which what came after is a consequence
	}
	if err != io.EOF {
		return content{}, err
	}
	for _, b := range bs.all {
		got.ids = append(got.ids, b.ids...)
	}
	return got, nil
}
