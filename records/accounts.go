package records

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"russet/internal/plist"
)

// accountsPath is where the phone keeps its accounts.
const accountsPath = "HomeDomain/Library/Accounts/Accounts3.sqlite"

// account is an account of the phone, which stores belong to.
type account struct {
	name string // as people see it: "iCloud", "Gmail"
	user string
	kind string // com.apple.account.CardDAV ...
	host string // of the server, or ""
}

// accounts returns the phone's accounts by their identifiers. What cannot be read
// is a problem: without it records are the same, only nobody knows whose they are.
func (s *store) accounts(ctx context.Context) map[string]account {
	accounts, err := readAccounts(ctx, s.fsys)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.lost(0, "the phone's accounts cannot be read: %v", err)
	}
	return accounts
}

func readAccounts(ctx context.Context, fsys fs.FS) (map[string]account, error) {
	s, err := openStore(ctx, fsys, accountsPath)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if !s.schema.has("ZACCOUNT", "ZIDENTIFIER") {
		return nil, ErrUnknownLayout
	}
	kinds, hosts := map[int64]string{}, map[int64]string{}
	for r, err := range s.rows(ctx, "ZACCOUNTTYPE", "ZIDENTIFIER") {
		if err != nil {
			return nil, err
		}
		kinds[r.id] = r.text("ZIDENTIFIER")
	}
	for r, err := range s.rows(ctx, "ZACCOUNTPROPERTY", "ZOWNER", "ZKEY", "ZVALUE") {
		if err != nil {
			return nil, err
		}
		if owner, ok := r.integer("ZOWNER"); ok && r.text("ZKEY") == "DAAccountHost" {
			hosts[owner] = strings.ToLower(archivedText(r.bytes("ZVALUE")))
		}
	}
	rows, parents := map[int64]account{}, map[int64]int64{}
	ids := map[string]int64{}
	for r, err := range s.rows(ctx, "ZACCOUNT", "ZIDENTIFIER", "ZPARENTACCOUNT", "ZACCOUNTTYPE", "ZACCOUNTDESCRIPTION", "ZUSERNAME") {
		if err != nil {
			return nil, err
		}
		kind, _ := r.integer("ZACCOUNTTYPE")
		parents[r.id], _ = r.integer("ZPARENTACCOUNT")
		rows[r.id] = account{name: r.text("ZACCOUNTDESCRIPTION"), user: r.text("ZUSERNAME"), kind: kinds[kind], host: hosts[r.id]}
		ids[r.text("ZIDENTIFIER")] = r.id
	}
	accounts := make(map[string]account, len(ids))
	for id, key := range ids {
		a := rows[key]
		parent := rows[parents[key]] // a service, such as CardDAV, of an account with a name
		if a.name == "" {
			a.name = parent.name
		}
		if a.user == "" {
			a.user = parent.user
		}
		accounts[id] = a
	}
	return accounts, nil
}

// archivedText returns the text in an NSKeyedArchiver archive of one text, or "".
func archivedText(data []byte) string {
	var archive struct {
		Objects []any `plist:"$objects"`
	}
	if plist.Unmarshal(data, &archive) != nil {
		return ""
	}
	for _, o := range archive.Objects {
		if text, ok := o.(string); ok && text != "$null" {
			return validText(text)
		}
	}
	return ""
}
