package agent

import "context"

func (s *session) restore(ctx context.Context, m map[string]any) error        { return nil }
func (s *session) changePassword(ctx context.Context, m map[string]any) error { return nil }
