package repo
import ("testing";"math/rand/v2";"time";"strings";"encoding/json";"bytes")
func TestZZTree(t *testing.T) {
	dict := []string{`null`,`""`,`[]`,`{}`,`0`,`,`,` `,`"content":null`,`"linktarget":"\ufffd"`,`"linktarget_raw":"/w=="`,`"linktarget_raw":""`,`"name":"a"`,`"user":"x"`,`"user":"\u0008"`,`\u0008`,`\ufffd`,"\xff","\ufffd",`\\`,`\\x41`,`"extended_attributes":[]`,`{"name":"a","value":null}`,`{"value":""}`,`"generic_attributes":{"a":1}`,`"generic_attributes":{"a":"<"}`,`"mtime":"2024-05-06T07:08:09Z"`,`+00:00`,`Z`,`.5`,`.50`,`"size":1`,`"size":0`,`"uid":0`,"\n",`1e5`,`-0`}
	seeds := []string{treeOne, string(AppendTree(nil, manyNodes())), string(AppendTree(nil, manyNodes()[1:3])), string(AppendTree(nil, manyNodes()[4:8]))}
	end := time.Now().Add(90*time.Second); ok, lossy, n := 0,0,0
	for time.Now().Before(end) {
		n++
		s := seeds[rand.IntN(len(seeds))]
		for range 1+rand.IntN(3) {
			// token boundaries
			var b []int
			for i := range len(s) { if strings.IndexByte(`",:{}[]\.+Z`, s[i])>=0 { b = append(b, i, i+1) } }
			if len(b)==0 {break}; i := b[rand.IntN(len(b))]; j := i
			if rand.IntN(2)==0 { j = min(len(s), i+rand.IntN(30)) ; if rand.IntN(2)==0 { k := rand.IntN(len(b)); if b[k]>=i && b[k] < i+200 {j=b[k]} } }
			ins := ""
			switch rand.IntN(3) { case 0: ins = dict[rand.IntN(len(dict))]; case 1: ins = ","+dict[rand.IntN(len(dict))]; case 2: k:=b[rand.IntN(len(b))]; l:=b[rand.IntN(len(b))]; if k<l && l-k<300 {ins=s[k:l]} }
			s = s[:i]+ins+s[j:]
		}
		tree, err := DecodeTree([]byte(s))
		if err != nil { continue }
		ok++
		again := tree.Append(nil)
		if tree.Lossy {lossy++}
		if tree.Lossy == (string(again)==s) { t.Fatalf("lossy %v\n%q\n%q", tree.Lossy, s, again) }
		back, err := DecodeTree(again)
		if err != nil || !bytes.Equal(back.Append(nil), again) { t.Fatalf("unstable %q %q %v", s, again, err) }
		var ref refTree
		if err := json.Unmarshal(again, &ref); err != nil { t.Fatal(err) }
		if err := json.Unmarshal([]byte(s), &ref); err != nil { t.Fatalf("json refuses %q %v", s, err) }
	}
	t.Log(n, ok, lossy)
}
