package records

// personProperties are the properties that columns of a person become. FN, which is
// made of several, is not among them.
var personProperties = map[string]string{
	"First": "N", "Last": "N", "Middle": "N", "Prefix": "N", "Suffix": "N", "Nickname": "NICKNAME", "PreviousFamilyName": "X-MAIDENNAME",
	"FirstPhonetic": "X-PHONETIC-FIRST-NAME", "MiddlePhonetic": "X-PHONETIC-MIDDLE-NAME", "LastPhonetic": "X-PHONETIC-LAST-NAME",
	"FirstPronunciation": "X-PRONUNCIATION-FIRST-NAME", "MiddlePronunciation": "X-PRONUNCIATION-MIDDLE-NAME",
	"LastPronunciation": "X-PRONUNCIATION-LAST-NAME", "Organization": "ORG", "Department": "ORG", "OrganizationPhonetic": "X-PHONETIC-ORG",
	"OrganizationPronunciation": "X-PRONUNCIATION-ORG", "JobTitle": "TITLE", "Kind": "X-ABSHOWAS", "DisplayName": "FN",
	"Birthday": "BDAY", "AlternateBirthday": "X-ALTBDAY", "Note": "NOTE",
}

// otherProperty keeps values of properties that vCards have not.
const otherProperty = "X-RUSSET-VALUE"

// valueProperties are the properties that a value becomes by the number of its own.
var valueProperties = map[int64][]string{
	phoneProperty: {"TEL"}, emailProperty: {"EMAIL"}, dateProperty: {"X-ABDATE"}, messageProperty: {"IMPP"}, urlProperty: {"URL"},
	relatedProperty: {"X-ABRELATEDNAMES"}, profileProperty: {"X-SOCIALPROFILE"},
	addressProperty: {"ADR", "X-APPLE-SUBLOCALITY", "X-APPLE-SUBADMINISTRATIVEAREA"},
}

func valueNames(property int64) []string {
	if names := valueProperties[property]; names != nil {
		return names
	}
	return []string{otherProperty}
}

// allValueNames are the properties that values of people become.
func allValueNames() []string {
	all := []string{otherProperty}
	for _, names := range valueProperties {
		all = append(all, names...)
	}
	return all
}

// unread says that something of a property of the person could not be read.
func (w *card) unread(property string) { w.p.unread = with(w.p.unread, property) }
