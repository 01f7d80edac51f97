package sim

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"russet/internal/plist"
	"russet/ios"
)

// The type bits of a mode, as a phone has them.
const (
	modeFolder  = 0o040000
	modeRegular = 0o100000
	modeLink    = 0o120000
	modeType    = 0o170000
)

// owner is who a domain's files belong to.
type owner struct{ user, group uint32 }

// ownerOf returns the owner that a domain's files have: nearly all are those of the user "mobile".
func ownerOf(domain string) owner {
	switch domain {
	case "RootDomain", "SystemPreferencesDomain", "ManagedPreferencesDomain":
		return owner{0, 0}
	case "WirelessDomain":
		return owner{25, 25}
	case "KeychainDomain":
		return owner{64, 64}
	}
	return owner{501, 501}
}

// pathKey is what byPath is indexed with.
func pathKey(domain, relativePath string) string { return domain + "\x00" + relativePath }

func compareFiles(a, b *File) int {
	if c := strings.Compare(a.Domain, b.Domain); c != 0 {
		return c
	}
	return strings.Compare(a.RelativePath, b.RelativePath)
}

// add puts a new file into the device, with folders above it that are missing; it returns nil where there is one
// already. The caller sorts d.files afterwards.
func (d *Device) add(domain, relativePath string, mode uint32) *File {
	key := pathKey(domain, relativePath)
	if d.byPath[key] != nil {
		return nil
	}
	if relativePath != "" {
		parent := path.Dir(relativePath)
		if parent == "." {
			parent = ""
		}
		if d.byPath[pathKey(domain, parent)] == nil {
			d.add(domain, parent, modeFolder|0o755)
		}
	}
	r := newRandom(d.config.Seed, "attributes", domain, relativePath, d.generation)
	own := ownerOf(domain)
	f := &File{Domain: domain, File: ios.File{
		RelativePath: relativePath, Mode: mode, UserID: own.user, GroupID: own.group, Inode: d.nextInode,
	}}
	d.nextInode++
	f.Birth = d.Date().Add(-time.Duration(r.between(1, 8*365*86400)) * time.Second).Unix()
	f.LastModified = f.Birth + int64(r.n(int(d.Date().Unix()-f.Birth)))
	f.LastStatusChange = f.LastModified + int64(r.n(60))
	if mode&modeRegular != 0 && mode&modeLink != modeLink {
		f.ProtectionClass = protectionClass(r)
	} else if r.oneIn(20) {
		f.ProtectionClass = 3 // the default of what is created in the folder
	}
	if mode&modeLink == modeLink {
		f.ProtectionClass = 0
	}
	d.byPath[key] = f
	d.files = append(d.files, f)
	return f
}

// protectionClass returns 3 and 4 mostly, as on real phones.
func protectionClass(r random) uint32 {
	switch n := r.n(200); {
	case n == 0:
		return 1
	case n == 1:
		return 2
	case n < 110:
		return 3
	}
	return 4
}

func (d *Device) addFile(domain, relativePath string, c content, length int64) *File {
	f := d.add(domain, relativePath, modeRegular|0o644)
	if f != nil {
		f.content, f.length, f.Size = c, length, length
		f.seed = fmt.Sprint(pathKey(domain, relativePath), d.generation)
	}
	return f
}

func (d *Device) addLiteral(domain, relativePath, text string) *File {
	f := d.addFile(domain, relativePath, literal, int64(len(text)))
	f.literal = []byte(text)
	return f
}

func (d *Device) addLink(domain, relativePath, target string) {
	f := d.add(domain, relativePath, modeLink|0o755)
	f.Target, f.Size = target, int64(len(target))
}

// populate makes the files of generation 0.
func (d *Device) populate() {
	d.addPeculiar()
	d.addFile("HomeDomain", "Library/SMS/sms.db", messagesDB, 0)
	for range d.config.Photos {
		d.addPhoto()
	}
	for range d.config.Videos {
		d.addFile("CameraRollDomain", d.photoPath(".MOV"), video, d.config.VideoSize)
	}
	r := newRandom(d.config.Seed, "small files")
	for made := 0; made < d.config.SmallFiles; {
		if d.addSmallFile(r) != nil {
			made++
		}
	}
	slices.SortFunc(d.files, compareFiles)
}

// photoPath returns the path of the next picture or video.
func (d *Device) photoPath(extension string) string {
	n := d.nextPhoto
	d.nextPhoto++
	return fmt.Sprintf("Media/DCIM/%dAPPLE/IMG_%04d%s", 100+n/1000, n, extension)
}

// addPhoto adds the next picture, with the attributes that the photo library gives it.
func (d *Device) addPhoto() {
	r := newRandom(d.config.Seed, "photo", d.nextPhoto)
	name := d.photoPath(".HEIC")
	f := d.addFile("CameraRollDomain", name, photo, int64(r.between(2<<20, 3<<20)))
	f.ExtendedAttributes = attributes(map[string][]byte{
		"com.apple.assetsd.UUID":             r.bytes(16),
		"com.apple.assetsd.originalFilename": []byte(path.Base(name)),
		"com.apple.assetsd.favorite":         {byte(r.n(2))},
	})
}

// attributes encodes extended attributes as manifest records hold them: a binary property list.
func attributes(m map[string][]byte) []byte {
	b, err := plist.Marshal(m, plist.Binary)
	if err != nil {
		panic("sim: " + err.Error()) // a map of bytes can always be encoded
	}
	return b
}

// smallDomains are where small files lie, besides the apps.
var smallDomains = []struct{ domain, folder string }{
	{"HomeDomain", "Library/Preferences"},
	{"HomeDomain", "Library/SpringBoard"},
	{"HomeDomain", "Library/Safari"},
	{"HealthDomain", "Health"},
	{"KeyboardDomain", "Library/Keyboard"},
	{"RootDomain", "Library/Caches/locationd"},
	{"SystemPreferencesDomain", ""},
	{"WirelessDomain", "Library/Preferences"},
	{"MediaDomain", "Library/SMS/Attachments"},
	{"HomeKitDomain", "Library/homed"},
	{"SysContainerDomain-com.example.geod", "Library"},
}

// addSmallFile adds a file of a random kind and place, or returns nil where a folder or file has its name.
func (d *Device) addSmallFile(r random) *File {
	domain, folder := d.smallPlace(r)
	name := pick(r, words) + "-" + pick(r, words)
	c, extension := plistText, pick(r, []string{".plist", ".json", ".txt", ".xml", ".log"})
	if r.oneIn(2) {
		c, extension = noise, pick(r, []string{".bin", ".png", ".dat", ".jpg", ""})
	}
	name = fmt.Sprintf("%s%d%s", name, r.n(1000), extension)
	size := r.logNormal()
	switch r.n(40) {
	case 0:
		size = 0
	case 1:
		size = size/16*16 + 16
	case 2:
		size = 4096
	}
	if most := d.config.SmallSize; most > 0 {
		size = min(size, most)
	}
	f := d.addFile(domain, path.Join(folder, name), c, size)
	if f == nil {
		return nil
	}
	f.Mode = modeRegular | pick(r, []uint32{0o644, 0o644, 0o644, 0o644, 0o600, 0o600, 0o666, 0o755, 0o444})
	if r.oneIn(30) {
		f.ExtendedAttributes = attributes(map[string][]byte{"com.apple.TextEncoding": []byte("utf-8;134217984")})
	}
	if r.oneIn(500) {
		f.Flags = 128
	}
	return f
}

// smallPlace returns the domain and folder of a small file: an app's container nearly always, with some ten files in
// each folder.
func (d *Device) smallPlace(r random) (domain, folder string) {
	if r.oneIn(15) {
		place := pick(r, smallDomains)
		return place.domain, place.folder
	}
	apps := max(4, d.config.SmallFiles/500)
	app := r.n(apps) * (r.n(apps) + 1) / apps // a few apps have most files
	domain = "AppDomain-com.example.app" + fmt.Sprint(app)
	switch r.n(8) {
	case 0:
		domain = "AppDomainGroup-group.com.example.app" + fmt.Sprint(app)
	case 1:
		domain = "AppDomainPlugin-com.example.app" + fmt.Sprint(app) + ".widget"
	}
	folder = pick(r, []string{"Documents", "Library/Application Support", "Library/Preferences", "Library/WebKit/data"})
	for range r.n(4) {
		folder = path.Join(folder, words[r.n(5)*7+app%7])
	}
	return domain, folder
}
