package repo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"

	"russet/backend"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

// What a person can act on.
var (
	// ErrWrongPassword: no key file of the repository opens with the password.
	ErrWrongPassword = errors.New("wrong password or no key found")
	// ErrDamaged: bytes in the repository are not what was written there.
	ErrDamaged = errors.New("repository is damaged")
	// ErrLockLost: the lock under which work was done is no longer held, so the
	// work was stopped.
	ErrLockLost = errors.New("the repository's lock was lost")
	// ErrLocked: another process holds a lock that forbids what was asked.
	ErrLocked = errors.New("repository is locked")
	// ErrNotFound: no snapshot matches what was asked for.
	ErrNotFound = errors.New("no matching snapshot")
)

// Config is the file of that name in a repository's root (restic design
// document, "Config"). Unknown fields are ignored on reading.
type Config struct {
	Version    uint      `json:"version"`
	ID         chunk.ID  `json:"id"`
	Polynomial chunk.Pol `json:"chunker_polynomial"`
}

// Repository is an open repository. Its methods may be called concurrently,
// except that LoadIndex must not run beside others.
type Repository struct {
	place  backend.Backend // where the files lie
	be     backend.Backend // the same, through a cache if there is one
	key    *crypto.Key
	keyID  chunk.ID
	config Config
	index  *index.Index
	cutter *chunk.Cutter
	codec  *codec
	// connections is how many requests are answered at once; 0 for a drive.
	connections int
	spare       *sync.Pool // of *scratch, for small blobs
}

// InitOptions are what ends up in the new repository besides random numbers.
type InitOptions struct {
	Version uint        // 1 or 2; 0 means 2
	Cost    crypto.Cost // of deriving the key from the password; zero means crypto.DefaultCost
	Owner   Owner       // noted in the key file, in plain
	// Polynomial says where files are cut; zero means one that nobody else has.
	// Between repositories of one polynomial what is stored twice is not copied.
	Polynomial chunk.Pol
}

// Init makes a repository in be, which must hold none (fs.ErrExist), and
// opens it. The password may not be empty.
func Init(ctx context.Context, be backend.Backend, password string, opt InitOptions) (*Repository, error) {
	if password == "" {
		return nil, errors.New("create repository: the password is empty")
	}
	if opt.Version == 0 {
		opt.Version = 2
	}
	key, keyID, err := leftKey(ctx, be, password)
	if err != nil {
		return nil, fmt.Errorf("create repository: %w", err)
	}
	pol, err := opt.Polynomial, error(nil)
	if pol == 0 {
		pol, err = chunk.RandomPol()
	}
	if err != nil {
		return nil, fmt.Errorf("draw chunker polynomial: %w", err)
	}
	r := &Repository{place: be, be: be, key: key, keyID: keyID, config: Config{Version: opt.Version, Polynomial: pol}}
	rand.Read(r.config.ID[:])
	if key == nil {
		r.key = crypto.NewKey()
		if r.keyID, err = r.addKey(ctx, password, opt.Cost, opt.Owner); err != nil {
			return nil, fmt.Errorf("create repository: %w", err)
		}
	}
	plain, err := json.Marshal(r.config)
	if err != nil {
		return nil, fmt.Errorf("encode config: %w", err)
	}
	// The config comes last: without it the folder is no repository yet.
	if err := be.Save(ctx, backend.File{Kind: backend.Config}, r.key.Seal(nil, plain)); err != nil {
		return nil, fmt.Errorf("save config: %w", err)
	}
	return Open(ctx, be, password)
}

// leftKey returns the master key of an Init that was cut off before it wrote the
// config, where the password opens its key file: another key file beside it would
// open with the same password and not fit the config. It is nil where there is
// none. A place that holds a config, another's keys, or anything that a key may
// be needed for is refused: a second config would make it unreadable.
func leftKey(ctx context.Context, be backend.Backend, password string) (*crypto.Key, chunk.ID, error) {
	var b [1]byte
	_, err := be.Load(ctx, backend.File{Kind: backend.Config}, 0, b[:])
	if err == nil {
		return nil, chunk.ID{}, fs.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, chunk.ID{}, err
	}
	keys, err := anyFile(ctx, be, backend.Key)
	if err != nil || !keys {
		return nil, chunk.ID{}, err
	}
	used, err := anyFile(ctx, be, backend.Snapshot, backend.Index, backend.Data)
	if err != nil {
		return nil, chunk.ID{}, err
	}
	if used {
		return nil, chunk.ID{}, fmt.Errorf("a repository without its config is there: %w", fs.ErrExist)
	}
	key, id, err := openKey(ctx, be, password, chunk.ID{})
	if errors.Is(err, ErrWrongPassword) || errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("keys without a config are there: %w", fs.ErrExist)
	}
	return key, id, err
}

// anyFile tells whether there is a file of one of the kinds.
func anyFile(ctx context.Context, be backend.Backend, kinds ...backend.Kind) (bool, error) {
	for _, k := range kinds {
		for _, err := range be.List(ctx, k) {
			return err == nil, err
		}
	}
	return false, nil
}

// Open opens the repository in be. The error is backend.ErrNoRepository,
// ErrWrongPassword or ErrDamaged where it is one of these.
func Open(ctx context.Context, be backend.Backend, password string) (*Repository, error) {
	return OpenByKey(ctx, be, password, chunk.ID{})
}

// OpenByKey is Open for who remembers the KeyID of the last time: a place far away
// is asked for that key first. Where it is gone, or has another password, the
// others are tried.
func OpenByKey(ctx context.Context, be backend.Backend, password string, last chunk.ID) (*Repository, error) {
	sealed, err := loadAll(ctx, be, backend.File{Kind: backend.Config}, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open repository: %w", backend.ErrNoRepository)
	}
	if err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	r := &Repository{place: be, be: be, index: index.New()}
	if r.key, r.keyID, err = openKey(ctx, be, password, last); err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	if err := r.readConfig(sealed); err != nil {
		return nil, fmt.Errorf("open repository: read config: %w", err)
	}
	if r.cutter, err = chunk.NewCutter(r.config.Polynomial); err != nil {
		return nil, fmt.Errorf("open repository: %w: %w", ErrDamaged, err)
	}
	r.spare = new(sync.Pool)
	if r.codec, err = newCodec(); err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	return r, nil
}

// maxConfig is far above what any writer puts in (rustic's has some 20 fields).
const maxConfig = 1 << 20

func (r *Repository) readConfig(sealed []byte) error {
	plain, err := r.key.Open(nil, sealed)
	if err != nil {
		// The key opened, so the password is right: the config is damaged.
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var foreign struct {
		Chunker  string `json:"chunker"`
		IsHot    bool   `json:"is_hot"`
		MinSize  uint64 `json:"chunk_min_size"`
		MeanSize uint64 `json:"chunk_size"`
		MaxSize  uint64 `json:"chunk_max_size"`
	}
	if err := errors.Join(json.Unmarshal(plain, &r.config), json.Unmarshal(plain, &foreign)); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if v := r.config.Version; v != 1 && v != 2 {
		return fmt.Errorf("repository version %d is not supported", v)
	}
	if foreign.IsHot {
		return errors.New("this is the hot half of a split repository: open the cold one")
	}
	return nil
}

// ID names the repository, for caches.
func (r *Repository) ID() chunk.ID { return r.config.ID }

// Version is the format's version, 1 or 2.
func (r *Repository) Version() uint { return r.config.Version }

// Polynomial says where the repository's files are cut.
func (r *Repository) Polynomial() chunk.Pol { return r.config.Polynomial }

// KeyID names the key file that opened the repository.
func (r *Repository) KeyID() chunk.ID { return r.keyID }

// Cutter cuts files where this repository's polynomial says.
func (r *Repository) Cutter() *chunk.Cutter { return r.cutter }

// Backend is where the repository's files lie. What is asked of it comes from no
// cache.
func (r *Repository) Backend() backend.Backend { return r.place }

// SetConnections says that n requests at once cost no more time than one, as at the
// far end of a line: so many packs are on their way then, and so many readers read.
// It is called before anything else.
func (r *Repository) SetConnections(n int) { r.connections = n }

// readers is how many goroutines read what is opened and hashed then: one a core
// keeps a drive busy, a line needs as many as it has connections.
func (r *Repository) readers() int { return max(runtime.GOMAXPROCS(0), r.connections) }

// UseCache takes index files, snapshots and trees from c, a cache of Backend(), as
// far as they are there. What must be proven to lie at the place is read there all
// the same. It is called before anything else, and c must stay open.
func (r *Repository) UseCache(c *backend.Cache) { r.be = c }

// Key seals what lies beside the repository (its spool), never its own files.
func (r *Repository) Key() *crypto.Key { return r.key }
