// Normalizes image references as containerd's CRI plugin does: one JSON string a line in, and one out, null for none.
package main

import (
	"bufio"
	// As in containerd: digests of algorithms that are not linked in count as malformed.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/json"
	"os"

	"github.com/distribution/reference"
)

func main() {
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := json.NewEncoder(os.Stdout)
	for {
		var text string
		if in.Decode(&text) != nil {
			return
		}
		named, err := reference.ParseDockerRef(text)
		if err != nil {
			out.Encode(nil)
			continue
		}
		out.Encode(named.String())
	}
}
