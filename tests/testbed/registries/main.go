// SPDX-License-Identifier: GPL-3.0-or-later

// registries reads a registries.yaml as k3s and rke2 do, with the package that they read it with, and prints which hosts they would ask.
//
//	registries FILE
//
// They read it in a tolerant way: what they do not know is lost without a word, so here it is an error. What becomes of an endpoint is
// k3s's pkg/agent/containerd/config.go in other words: no path, / and /v2 mean /v2; any other path is taken as it is.
package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"

	"github.com/rancher/wharfie/pkg/registries"
	"gopkg.in/yaml.v2"
)

type endpoint struct {
	URL      string                    `json:"url"`
	Override bool                      `json:"override_path"`
	Config   registries.RegistryConfig `json:"config"`
}

func main() {
	found, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		os.Exit(1)
	}
}

func read(path string) (map[string][]endpoint, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var strict registries.Registry
	if err := yaml.UnmarshalStrict(text, &strict); err != nil {
		return nil, err
	}
	private, err := registries.GetPrivateRegistries(path)
	if err != nil {
		return nil, err
	}
	found := map[string][]endpoint{}
	for host, mirror := range private.Registry.Mirrors {
		for pattern := range mirror.Rewrites {
			if _, err := regexp.Compile(pattern); err != nil {
				return nil, err
			}
		}
		for _, given := range mirror.Endpoints {
			made, err := url.Parse(given)
			if err != nil {
				return nil, err
			}
			if made.Scheme == "" || made.Host == "" {
				return nil, fmt.Errorf("mirrors.%s: an endpoint without scheme or host", host)
			}
			override := made.Path != "" && made.Path != "/" && made.Path != "/v2"
			if !override {
				made.Path = "/v2"
			}
			found[host] = append(found[host], endpoint{made.String(), override, private.Registry.Configs[made.Host]})
		}
	}
	return found, nil
}
