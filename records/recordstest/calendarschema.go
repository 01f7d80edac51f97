package recordstest

// calendarSchema is that of iOS 14, as far as it matters to readers, with its two
// calendars.
var calendarSchema = []string{
	`CREATE TABLE _SqliteDatabaseProperties (key TEXT, value TEXT, UNIQUE(key))`,
	`CREATE TABLE Store (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, default_alarm_offset INTEGER, type INTEGER, constraint_path TEXT, ` +
		`disabled INTEGER, external_id TEXT, persistent_id TEXT UNIQUE, flags INTEGER, display_order INTEGER, owner_name TEXT)`,
	`CREATE TABLE Calendar (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, store_id INTEGER, title TEXT, flags INTEGER, color TEXT, symbolic_color_name TEXT, ` +
		`color_is_display INTEGER, type TEXT, external_id TEXT, external_mod_tag TEXT, external_id_tag TEXT, external_rep BLOB, display_order INTEGER, ` +
		`UUID TEXT, shared_owner_name TEXT, sharing_status INTEGER, self_identity_email TEXT, owner_identity_email TEXT, subcal_account_id TEXT, subcal_url TEXT)`,
	`CREATE TABLE CalendarItem (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, summary TEXT, location_id INTEGER, description TEXT, start_date REAL, ` +
		`start_tz TEXT, end_date REAL, end_tz TEXT, all_day INTEGER, calendar_id INTEGER, orig_item_id INTEGER, orig_date REAL, organizer_id INTEGER, ` +
		`self_attendee_id INTEGER, status INTEGER, invitation_status INTEGER, availability INTEGER, privacy_level INTEGER, url TEXT, last_modified REAL, ` +
		`sequence_num INTEGER DEFAULT 0, birthday_id INTEGER, modified_properties INTEGER, external_id TEXT, unique_identifier TEXT, hidden INTEGER DEFAULT 0, ` +
		`has_recurrences INTEGER, has_attendees INTEGER, UUID TEXT, entity_type INTEGER, priority INTEGER, due_date REAL, due_tz TEXT, due_all_day INTEGER, ` +
		`completion_date REAL, creation_date REAL, conference_url TEXT, travel_time INTEGER, calendar_scale TEXT, phantom_master INTEGER)`,
	`CREATE TABLE Recurrence (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, frequency INTEGER, interval INTEGER, week_start INTEGER, count INTEGER, ` +
		`cached_end_date REAL, cached_end_date_tz TEXT, end_date REAL, specifier TEXT, by_month_months INTEGER, owner_id INTEGER, external_id TEXT)`,
	`CREATE TABLE ExceptionDate (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, owner_id INTEGER, date REAL, sync_order INTEGER)`,
	`CREATE TABLE Alarm (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, trigger_date REAL, trigger_interval INTEGER, type INTEGER, calendar_owner_id INTEGER, ` +
		`calendaritem_owner_id INTEGER, external_id TEXT, UUID TEXT, proximity INTEGER, disabled INTEGER, location_id INTEGER, acknowledgedDate REAL, ` +
		`default_alarm INTEGER, orig_alarm_id INTEGER)`,
	`CREATE TABLE Location (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT, address TEXT, latitude REAL, longitude REAL, radius REAL, item_owner_id INTEGER, ` +
		`alarm_owner_id INTEGER)`,
	`CREATE TABLE Identity (display_name TEXT, address TEXT, first_name TEXT, last_name TEXT, UNIQUE (display_name, address, first_name, last_name))`,
	`CREATE TABLE Participant (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, entity_type INTEGER, type INTEGER, status INTEGER, pending_status INTEGER, ` +
		`role INTEGER, identity_id INTEGER, owner_id INTEGER, external_rep BLOB, UUID TEXT, email TEXT, is_self INTEGER, phone_number TEXT)`,
	`CREATE INDEX RecurrenceOwnerId ON Recurrence(owner_id)`,
	`CREATE INDEX ExceptionDateOwnerId ON ExceptionDate(owner_id)`,
	`CREATE INDEX ParticipantOwnerId ON Participant(owner_id)`,
	`CREATE INDEX AlarmCalendarItemOwnerId ON Alarm(calendaritem_owner_id)`,
	`INSERT INTO Store (ROWID, name, type, disabled, persistent_id) VALUES (1, 'Default', 0, 0, 'local'), (2, 'Server', 2, 0, 'remote')`,
	`INSERT INTO Calendar (ROWID, store_id, title, color, UUID, external_id) VALUES (1, 1, 'Home', '#1badf8', 'CALENDAR-HOME', NULL), ` +
		`(2, 2, 'Work', '#63da38', 'CALENDAR-WORK', 'https://` + CardDAVHost + `/calendars/me/work/'), (3, 2, '', NULL, 'CALENDAR-BOX', '/calendars/me/inbox/')`,
}
