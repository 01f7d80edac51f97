package recordstest

import (
	"os"
	"path/filepath"

	"russet/internal/plist"
)

// bookSchema is that of iOS 15, as far as it matters to readers. The defaults and
// triggers that call functions of iOS are left out: SQLite cannot insert with them.
var bookSchema = []string{
	`CREATE TABLE _SqliteDatabaseProperties (key TEXT, value TEXT, UNIQUE(key))`,
	`CREATE TABLE ABStore (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT, ExternalIdentifier TEXT, Type INTEGER, ConstraintsPath TEXT, ` +
		`ExternalModificationTag TEXT, ExternalSyncTag TEXT, StoreInternalIdentifier TEXT, AccountID INTEGER DEFAULT -1, Enabled INTEGER DEFAULT 1, ` +
		`SyncData BLOB, MeIdentifier INTEGER DEFAULT -1, Capabilities INTEGER DEFAULT 0, guid TEXT NOT NULL, ` +
		`LastSyncDate TEXT, UNIQUE(StoreInternalIdentifier), UNIQUE(guid))`,
	`CREATE TABLE ABPerson (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, First TEXT, Last TEXT, Middle TEXT, FirstPhonetic TEXT, MiddlePhonetic TEXT, ` +
		`LastPhonetic TEXT, Organization TEXT, Department TEXT, Note TEXT, Kind INTEGER, Birthday TEXT, JobTitle TEXT, Nickname TEXT, Prefix TEXT, ` +
		`Suffix TEXT, FirstSort TEXT, LastSort TEXT, CreationDate INTEGER, ModificationDate INTEGER, CompositeNameFallback TEXT, ` +
		`ExternalIdentifier TEXT, ExternalModificationTag TEXT, ExternalUUID TEXT, StoreID INTEGER, DisplayName TEXT, ExternalRepresentation BLOB, ` +
		`PersonLink INTEGER DEFAULT -1, ImageURI TEXT, IsPreferredName INTEGER DEFAULT 1, guid TEXT NOT NULL, ` +
		`PhonemeData TEXT, AlternateBirthday TEXT, MapsData TEXT, FirstPronunciation TEXT, MiddlePronunciation TEXT, LastPronunciation TEXT, ` +
		`OrganizationPhonetic TEXT, OrganizationPronunciation TEXT, PreviousFamilyName TEXT, PreferredLikenessSource TEXT, ` +
		`PreferredPersonaIdentifier TEXT, PreferredChannel TEXT, ImageType TEXT, ImageHash BLOB, UNIQUE(guid))`,
	`CREATE TABLE ABGroup (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT, ExternalIdentifier TEXT, StoreID INTEGER, ` +
		`ExternalModificationTag TEXT, ExternalRepresentation BLOB, ExternalUUID TEXT, guid TEXT NOT NULL, UNIQUE(guid))`,
	`CREATE TABLE ABAccount (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, AccountIdentifier TEXT, Flags INTEGER, DefaultSourceID INTEGER, ` +
		`guid TEXT NOT NULL, UNIQUE(guid))`,
	`CREATE TABLE ABGroupMembers (UID INTEGER PRIMARY KEY, group_id INTEGER, member_type INTEGER, member_id INTEGER, ` +
		`UNIQUE(group_id, member_type, member_id))`,
	`CREATE TABLE ABMultiValue (UID INTEGER PRIMARY KEY, record_id INTEGER, property INTEGER, identifier INTEGER, label INTEGER, value TEXT, ` +
		`guid TEXT NOT NULL, UNIQUE(guid))`,
	`CREATE TABLE ABMultiValueLabel (value TEXT, UNIQUE(value))`,
	`CREATE TABLE ABMultiValueEntry (parent_id INTEGER, key INTEGER, value TEXT, UNIQUE(parent_id, key))`,
	`CREATE TABLE ABMultiValueEntryKey (value TEXT, UNIQUE(value))`,
	`CREATE INDEX ABMultiValueRecordIDIndex ON ABMultiValue(record_id)`,
	`CREATE INDEX ABGroupMembersMemberIndex ON ABGroupMembers(member_id)`,
	`INSERT INTO ABStore (ROWID, Name, Type, StoreInternalIdentifier, AccountID, guid) VALUES (0, NULL, 0, 'local', -1, ` +
		`'3D0F7B1E-5B2A-4E55-9E1C-7D9C2B6A0001'), (1, 'Card', 4, NULL, 1, '3D0F7B1E-5B2A-4E55-9E1C-7D9C2B6A0002')`,
	`INSERT INTO ABAccount (ROWID, AccountIdentifier, guid) VALUES (1, '` + accountID + `', '3D0F7B1E-5B2A-4E55-9E1C-7D9C2B6A0003:ABAccount')`,
}

var imagesSchema = []string{
	`CREATE TABLE ABThumbnailImage (ROWID INTEGER PRIMARY KEY, record_id INTEGER, format INTEGER, derived_from_format INTEGER, data BLOB)`,
	`CREATE TABLE ABFullSizeImage (ROWID INTEGER PRIMARY KEY, record_id INTEGER, crop_x INTEGER, crop_y INTEGER, crop_width INTEGER, data BLOB)`,
	`CREATE UNIQUE INDEX ABImageRecordIDFormatIndex ON ABThumbnailImage(record_id, format)`,
	`CREATE UNIQUE INDEX ABFullSizeImageRecordIDIndex ON ABFullSizeImage(record_id)`,
}

// accountID is the identifier of the account on a server that some people are in.
const accountID = "5C1B2F6E-0C4B-4B0E-8E55-6A0A8F2E0001"

var accountsSchema = []string{
	`CREATE TABLE ZACCOUNT (Z_PK INTEGER PRIMARY KEY, ZACCOUNTTYPE INTEGER, ZPARENTACCOUNT INTEGER, ZACCOUNTDESCRIPTION VARCHAR, ` +
		`ZIDENTIFIER VARCHAR, ZUSERNAME VARCHAR)`,
	`CREATE TABLE ZACCOUNTTYPE (Z_PK INTEGER PRIMARY KEY, ZIDENTIFIER VARCHAR)`,
	`CREATE TABLE ZACCOUNTPROPERTY (Z_PK INTEGER PRIMARY KEY, ZOWNER INTEGER, ZKEY VARCHAR, ZVALUE BLOB)`,
	`INSERT INTO ZACCOUNTTYPE VALUES (1, 'com.apple.account.CardDAV')`,
	`INSERT INTO ZACCOUNT VALUES (1, 1, NULL, 'Example', '` + accountID + `', 'somebody')`,
}

// writeAccounts writes the phone's accounts below dir, unless they are there.
func writeAccounts(dir string) error {
	name := filepath.Join(dir, "HomeDomain/Library/Accounts/Accounts3.sqlite")
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	host, err := plist.Marshal(map[string]any{"$objects": []any{"$null", CardDAVHost}}, plist.Binary)
	if err != nil {
		return err
	}
	return inDatabase(name, accountsSchema, func(w *writer) {
		w.exec(`INSERT INTO ZACCOUNTPROPERTY VALUES (1, 1, 'DAAccountHost', ?)`, host)
	})
}
