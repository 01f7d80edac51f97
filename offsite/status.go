package offsite

import (
	"time"

	"russet/repo"
)

// Status is where a copy stands, beside its source.
type Status struct {
	// LastRun and LastVerify are when the last ones began that came to their ends; zero
	// for never. Cut says that the last run of any kind did not.
	LastRun, LastVerify time.Time
	Cut                 bool
	// Snapshots are those of the source that the copy is to have and that stand on it,
	// Waiting those that do not yet. Elsewhere counts those that stand on it and that the
	// source has not, or that were not chosen.
	Snapshots []Standing
	Waiting   []*repo.Snapshot
	Elsewhere int
	// Proven is how many of Snapshots are proven, the oldest of them as of Since, and
	// Broken how many need what is damaged there, or gone.
	Proven, Broken int
	Since          time.Time
	Packs          int
	Bytes          int64 // of the packs
	NeverProven    int   // packs
	Bad            int   // packs that are damaged or gone
	Oldest         time.Time
}

// Status tells where a copy stands, by the snapshots of its source.
func (st *State) Status(all []*repo.Snapshot) Status {
	s := Status{LastRun: st.last(Put), LastVerify: st.last(Verify)}
	if n := len(st.Runs); n > 0 {
		s.Cut = st.Runs[n-1].Cut
	}
	type name struct {
		path string
		time int64
		tree [32]byte
	}
	nameOf := func(r Standing) name { return name{r.Path, r.Time.UnixNano(), r.Tree} }
	there := make(map[name]Standing, len(st.Snapshots))
	for _, r := range st.Snapshots {
		there[nameOf(r)] = r
	}
	for _, sn := range st.Config.Choose(all) {
		r, ok := there[nameOf(standing(sn))]
		if !ok {
			s.Waiting = append(s.Waiting, sn)
			continue
		}
		s.Snapshots = append(s.Snapshots, r)
		switch {
		case r.Broken:
			s.Broken++
		case !r.Proven.IsZero():
			if s.Proven++; s.Proven == 1 || r.Proven.Before(s.Since) {
				s.Since = r.Proven
			}
		}
	}
	s.Elsewhere = max(0, len(there)-len(s.Snapshots))
	s.packs(st.Packs)
	return s
}

// packs counts what is known of packs.
func (s *Status) packs(all Ledger) {
	for _, e := range all {
		s.Packs++
		s.Bytes += e.Size
		switch {
		case e.bad():
			s.Bad++
		case e.Proven == 0:
			s.NeverProven++
		case s.Oldest.IsZero() || moment(e.Proven).Before(s.Oldest):
			s.Oldest = moment(e.Proven)
		}
	}
}
