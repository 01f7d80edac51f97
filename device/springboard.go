package device

import (
	"context"
	"fmt"
	"net"
)

// SpringBoard is the service that knows the home screen. It is for one
// goroutine.
type SpringBoard struct{ conn net.Conn }

// maxIcon bounds an icon, in bytes. They are PNG of some 60 to 180 pixels.
const maxIcon = 1 << 20

// SpringBoard starts the service. The caller closes it.
func (p *Phone) SpringBoard(ctx context.Context) (*SpringBoard, error) {
	conn, err := p.Service(ctx, "com.apple.springboardservices", false)
	if err != nil {
		return nil, err
	}
	return &SpringBoard{conn}, nil
}

// Icon returns an app's icon, a PNG. Where the phone has none the error is a
// [ServiceError].
func (s *SpringBoard) Icon(ctx context.Context, bundle string) ([]byte, error) {
	answer, err := call(ctx, s.conn, serviceTimeout, map[string]any{"command": "getIconPNGData", "bundleId": bundle})
	icon := answer.data("pngData")
	if err == nil && (len(icon) == 0 || len(icon) > maxIcon) {
		err = ServiceError(answer.text("Error"))
	}
	if err != nil {
		return nil, fmt.Errorf("ask for an app's icon: %w", err)
	}
	return icon, nil
}

// Close hangs up.
func (s *SpringBoard) Close() error {
	cut(s.conn)
	return nil
}
