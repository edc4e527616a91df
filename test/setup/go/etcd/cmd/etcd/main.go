// The program of etcd's server module, which has no folder of its own that `go build` could name it after.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
