package backend_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// places gives each part of the suite a repository of its own on one server.
func places(address string, o backend.Options) func(t *testing.T) backend.Backend {
	var count atomic.Int64
	return func(t *testing.T) backend.Backend {
		skipSameName(t)
		return createAt(t, address+strconv.FormatInt(count.Add(1), 10)+"/", o)
	}
}

// skipSameName leaves out of the suite what rclone cannot do with folders.
func skipSameName(t *testing.T) {
	t.Helper()
	if strings.HasSuffix(t.Name(), "Folder/SameName") {
		t.Skip("not here: what rclone writes into a folder is seen before it is whole")
	}
}

func TestRESTMemory(t *testing.T) {
	t.Parallel()
	server := backendtest.RcloneServer{Remote: ":memory:", User: "me", Password: "secret"}
	o := backend.Options{REST: backend.RESTOptions{User: server.User, Password: server.Password}}
	backendtest.Run(t, places("rest:"+server.Start(t), o))
}

func TestRESTFolder(t *testing.T) {
	t.Parallel()
	server := backendtest.RcloneServer{Remote: t.TempDir(), User: "me", Password: "secret"}
	o := backend.Options{REST: backend.RESTOptions{User: server.User, Password: server.Password}}
	backendtest.Run(t, places("rest:"+server.Start(t), o))
}
