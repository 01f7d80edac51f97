-- An address book of iOS 17, with every kind of value that a vCard has a place for.
CREATE TABLE ABStore (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT, ExternalIdentifier TEXT, Type INTEGER, AccountID INTEGER DEFAULT -1, Enabled INTEGER DEFAULT 1, guid TEXT NOT NULL);
INSERT INTO ABStore VALUES (0, NULL, NULL, 0, -1, 1, 'aaaa0000-0000-4000-8000-000000000000:ABStore');
INSERT INTO ABStore VALUES (1, 'Card', 'https://Dav.Example.test/card/', 4, 1, 1, 'AAAA0000-0000-4000-8000-000000000001');
INSERT INTO ABStore VALUES (2, 'Work', NULL, 1, 2, 1, '');
INSERT INTO ABStore VALUES (3, 'Off', NULL, 0, -1, 0, 'AAAA0000-0000-4000-8000-000000000003');
CREATE TABLE ABAccount (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, AccountIdentifier TEXT);
CREATE TABLE ABPerson (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, First TEXT, Last TEXT, Middle TEXT, FirstPhonetic TEXT, MiddlePhonetic TEXT, LastPhonetic TEXT, Organization TEXT, Department TEXT, Note TEXT, Kind INTEGER, Birthday TEXT, JobTitle TEXT, Nickname TEXT, Prefix TEXT, Suffix TEXT, CreationDate INTEGER, ModificationDate INTEGER, ExternalIdentifier TEXT, ExternalUUID TEXT, StoreID INTEGER, DisplayName TEXT, PersonLink INTEGER DEFAULT -1, ImageURI TEXT, guid TEXT NOT NULL, AlternateBirthday TEXT, FirstPronunciation TEXT, MiddlePronunciation TEXT, LastPronunciation TEXT, OrganizationPhonetic TEXT, OrganizationPronunciation TEXT, PreviousFamilyName TEXT);
INSERT INTO ABPerson (ROWID, guid, StoreID, CreationDate, ModificationDate, Kind, Prefix, First, Middle, Last, Suffix, FirstPhonetic, MiddlePhonetic, LastPhonetic, FirstPronunciation, MiddlePronunciation, LastPronunciation, Nickname, PreviousFamilyName, Organization, OrganizationPhonetic, OrganizationPronunciation, Department, JobTitle, Birthday, Note)
	VALUES (1, '00000000-0000-4000-8000-000000000001:ABPerson', 0, 700000000, 700000000.75, 0, 'Dr.', 'Ada;B', 'King, née', 'Love\lace', 'Jr.', 'eida', 'king', 'lavlejs', 'AY-da', 'KING', 'LUV-lace', 'Countess', 'Byron', 'Analytical; Engines, Ltd', 'analitikal', 'A-na', 'Number, crunching', 'Programmer', '-5832000000.0', 'first line
second	line; with, all \ of it');
INSERT INTO ABPerson (ROWID, guid, StoreID, Kind, Organization, Birthday) VALUES (2, '00000000-0000-4000-8000-000000000002', NULL, 1, 'Example GmbH', '-12509380800');
INSERT INTO ABPerson (ROWID, guid, StoreID, First, Last, ExternalUUID, Birthday, ImageURI) VALUES (3, '00000000-0000-4000-8000-000000000003', 1, '小明', '王', 'c0ffee12-0000-4000-8000-00000000abcd', '1990-04-01', 'https://pictures.example.test/3');
INSERT INTO ABPerson (ROWID, guid, StoreID, Birthday) VALUES (4, '00000000-0000-4000-8000-000000000004', 2, '--0229');
INSERT INTO ABPerson (ROWID, guid, StoreID, Nickname, ExternalUUID, AlternateBirthday) VALUES (5, '00000000-0000-4000-8000-000000000005', 0, 'Nick', 'was-elsewhere', '<plist version="1.0"><dict><key>calendar</key><string>chinese</string><key>era</key><integer>78</integer><key>year</key><integer>7</integer><key>month</key><integer>8</integer><key>day</key><integer>15</integer><key>isLeapMonth</key><true/></dict></plist>');
INSERT INTO ABPerson (ROWID, guid, StoreID, AlternateBirthday) VALUES (6, '00000000-0000-4000-8000-000000000006', 0, 'not a list');
INSERT INTO ABPerson (ROWID, guid, StoreID) VALUES (7, '00000000-0000-4000-8000-000000000007', 9);
CREATE TABLE ABMultiValueLabel (value TEXT, UNIQUE(value));
INSERT INTO ABMultiValueLabel VALUES ('_$!<Mobile>!$_'), ('_$!<Home>!$_'), ('_$!<Work>!$_'), ('_$!<Main>!$_'), ('iPhone'), ('_$!<HomeFAX>!$_'), ('_$!<WorkFAX>!$_'), ('_$!<OtherFAX>!$_'), ('_$!<Pager>!$_'), ('_$!<Other>!$_'), ('Sommer; haus'), ('_$!<HomePage>!$_'), ('_$!<Anniversary>!$_'), ('_$!<Mother>!$_'), ('APPLE WATCH'), ('');
CREATE TABLE ABMultiValue (UID INTEGER PRIMARY KEY, record_id INTEGER, property INTEGER, identifier INTEGER, label INTEGER, value TEXT, guid TEXT);
INSERT INTO ABMultiValue (UID, record_id, property, label, value) VALUES
	(1, 1, 3, 1, '+44 (20) 1234;5,6'), (2, 1, 3, 2, '2'), (3, 1, 3, 3, '3'), (4, 1, 3, 4, '4'), (5, 1, 3, 5, '5'), (6, 1, 3, 6, '6'), (7, 1, 3, 7, '7'),
	(8, 1, 3, 8, '8'), (9, 1, 3, 9, '9'), (10, 1, 3, 10, '10'), (11, 1, 3, 11, '11'), (12, 1, 3, NULL, '12'), (13, 1, 3, 15, '13'), (14, 1, 3, 16, '14'),
	(20, 1, 4, 2, 'ada@example.test'), (21, 1, 4, 11, 'ada@house.example.test'), (22, 1, 4, NULL, 'a@example.test'),
	(30, 1, 5, 2, NULL), (31, 1, 5, 11, NULL), (32, 1, 5, NULL, 'all of it in one'),
	(40, 1, 22, 12, 'https://example.test/a,b;c\d'), (41, 1, 22, 3, 'https://work.example.test'),
	(50, 1, 12, 13, '43200'), (51, 1, 12, 11, '-12509380800'), (52, 1, 12, NULL, '2020-02-29'), (53, 1, 12, 13, '2010-10-10'),
	(60, 1, 23, 14, 'Anne, Isabella'), (61, 1, 23, 11, 'Babbage'), (62, 1, 23, NULL, 'nobody'),
	(70, 1, 13, 2, NULL), (71, 1, 13, 11, NULL), (72, 1, 13, NULL, 'plain'), (73, 1, 13, 3, NULL),
	(80, 1, 46, NULL, NULL), (81, 1, 46, 11, NULL), (82, 1, 46, NULL, 'https://social.example.test/ada'),
	(90, 1, 16, NULL, 'system:Marimba'), (91, 1, 99, 11, 'what is it'),
	(100, 4, 3, 1, '+49 30 100'), (101, 4, 4, 2, ' first@example.test '), (102, 6, 3, 1, '+49 30 102');
CREATE TABLE ABMultiValueEntryKey (value TEXT, UNIQUE(value));
INSERT INTO ABMultiValueEntryKey VALUES ('Street'), ('ZIP'), ('City'), ('CountryCode'), ('State'), ('Country'), ('SubLocality'), ('SubAdministrativeArea'), ('service'), ('username'), ('url'), ('identifier'), ('displayname'), ('STREET'), ('city');
CREATE TABLE ABMultiValueEntry (parent_id INTEGER, key INTEGER, value TEXT, UNIQUE(parent_id, key));
INSERT INTO ABMultiValueEntry VALUES
	(30, 1, '12 St James''s; Square
2nd floor'), (30, 2, 'SW1'), (30, 3, 'London, Mayfair'), (30, 4, 'gb'), (30, 5, 'Greater London'), (30, 6, 'United Kingdom'), (30, 7, 'Mayfair'), (30, 8, 'Westminster'),
	(31, 14, 'Ockham Park'), (31, 15, 'Ockham'),
	(70, 9, 'Skype'), (70, 10, 'ada:king'), (71, 9, 'Jabber'), (71, 10, 'ada@jabber.example.test'), (73, 9, 'Threema'), (73, 10, 'ECHOECHO'),
	(80, 9, 'Twitter'), (80, 10, 'ada'), (80, 11, 'https://twitter.example/ada'), (80, 12, '4711'), (80, 13, 'Ada "the" Countess; L.'),
	(81, 9, 'Flickr'), (81, 10, 'ada king');
CREATE TABLE ABGroup (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT, StoreID INTEGER, guid TEXT NOT NULL);
INSERT INTO ABGroup VALUES (1, 'Club; old, one', 0, 'g1'), (2, 'Arts', 0, 'g2'), (3, NULL, 0, 'g3'), (4, 'Empty', 0, 'g4');
CREATE TABLE ABGroupMembers (UID INTEGER PRIMARY KEY, group_id INTEGER, member_type INTEGER, member_id INTEGER);
INSERT INTO ABGroupMembers VALUES (1, 1, 0, 1), (2, 2, 0, 1), (3, 3, 0, 1), (4, 1, 0, 3);
