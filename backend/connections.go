package backend

import "cmp"

// defaultConnections is restic's number for places on a network.
const defaultConnections = 5

// Connections is how many operations at the place of an address are worth being under way at once, since each waits for an
// answer; 0 for a place on this computer.
func Connections(address string, o Options) int {
	scheme, _ := splitAddress(address)
	n := 0
	switch scheme {
	case "sftp":
		n = o.SFTP.Connections
	case "s3":
		n = o.S3.Connections
	case "rest":
		n = o.REST.Connections
	case "rclone":
		n = o.Rclone.Connections
	default:
		return 0
	}
	return cmp.Or(n, defaultConnections)
}
