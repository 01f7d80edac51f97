package device

import (
	"regexp"
	"testing"
)

func TestNewUUID(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)
	one, two := NewUUID(), NewUUID()
	if !form.MatchString(one) || one == two {
		t.Errorf("got %s and %s", one, two)
	}
}
