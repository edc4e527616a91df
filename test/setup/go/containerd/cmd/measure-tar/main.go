// Reads tars with the reader that containerd has: one in base64 a line in, and how many bytes its files have a line out.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
)

// No more is read of one file: a sparse one may have any size.
const most = 64 << 20

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, most)
	for lines.Scan() {
		content, err := base64.StdEncoding.DecodeString(lines.Text())
		if err != nil {
			panic(err)
		}
		fmt.Println(measure(tar.NewReader(bytes.NewReader(content))))
	}
}

func measure(files *tar.Reader) (sum int64) {
	for {
		if _, err := files.Next(); err != nil {
			return sum
		}
		count, err := io.CopyN(io.Discard, files, most)
		sum += count
		if err != nil && err != io.EOF {
			return sum
		}
	}
}
