// critest as a program that `go build` makes: the one of cri-tools is a test file. The tests and their flags are the same.
package main

import (
	"flag"
	"os"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"sigs.k8s.io/cri-tools/pkg/framework"
	_ "sigs.k8s.io/cri-tools/pkg/validate"
)

// result is what `go test` would be told.
type result struct{ failed bool }

func (r *result) Fail() { r.failed = true }

func main() {
	framework.RegisterFlags()
	flag.Parse()
	gomega.RegisterFailHandler(ginkgo.Fail)
	outcome := &result{}
	ginkgo.RunSpecs(outcome, "CRI validation")
	if outcome.failed {
		os.Exit(1)
	}
}
