package records

import "testing"

func TestJosh(t *testing.T) {
	for _, home := range []string{"iLEAPP/josh_ios15_ffs/mobile", "iLEAPP/mvs_ios_2023/mobile"} {
		set, err := Read(t.Context(), samplePhone(t, home), Contacts)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range set.Records {
			b := r.Object.Bytes()
			t.Logf("%s\n%s", b[:min(len(b), 1000)], VCard4(r.Object).Bytes()[:min(len(b), 600)])
			t.Log(Summary(Contacts, r).Text())
		}
		t.Log(set.Containers, set.Readers, set.Problems, set.Stores, set.Complete)
	}
}
