package backend

import "context"

// CreateSmall is CreateLocal with a reserve that costs tests no time.
func CreateSmall(ctx context.Context, folder string) (*Local, error) {
	return createLocal(ctx, folder, 1<<10)
}
