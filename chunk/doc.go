// Package chunk names bytes and cuts files into chunks at places that their content defines, so that equal parts of
// different files and of different versions are stored once.
//
//	cutter, err := chunk.NewCutter(pol) // one per repository
//	s := cutter.NewSplitter()           // one per worker, used for file after file
//	s.Reset(file)
//	for {
//		data, err := s.Next() // io.EOF after the last chunk
//		id := chunk.Sum(data)
//	}
//
// Two ways of cutting are used. SQLite databases, known by their header, are cut into small groups of whole pages,
// because a database changes page by page. Everything else is cut where a Rabin fingerprint of the last 64 bytes says so,
// at the very same places as restic cuts, so that repositories of both programs share chunks. Both ways are keyed by the
// repository's polynomial, depend on the content alone, never on the length of the file or on how it is read, and never
// change: a change would store everything again.
package chunk
