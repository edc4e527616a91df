// Reads objects of the Prometheus operator as a stream of YAML, and fails if its types do not have one of their fields.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"monitoring.coreos.com/v1/PodMonitor":         func() any { return &v1.PodMonitor{} },
	"monitoring.coreos.com/v1/PrometheusRule":     func() any { return &v1.PrometheusRule{} },
	"monitoring.coreos.com/v1alpha1/ScrapeConfig": func() any { return &v1alpha1.ScrapeConfig{} },
}

func main() {
	if err := check(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(input io.Reader) error {
	documents := yaml.NewYAMLReader(bufio.NewReader(input))
	for {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var object metav1.TypeMeta
		if err := strict.Unmarshal(text, &object); err != nil {
			return err
		}
		name := object.APIVersion + "/" + object.Kind
		kind, known := kinds[name]
		if !known {
			continue
		}
		if err := strict.UnmarshalStrict(text, kind()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Println(name)
	}
}
