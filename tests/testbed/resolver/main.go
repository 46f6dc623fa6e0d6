// SPDX-License-Identifier: GPL-3.0-or-later

// Pulls an image as containerd's CRI plugin does, with its own resolver and its own reading of hosts.toml, and without a daemon.
//
//	resolver --hosts-dir DIR docker.io/library/nginx:1
//
// prints {"name", "digest", "blobs": {digest: size}}; what the library logs, such as a hosts.toml it cannot read, goes to stderr.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

type pulled struct {
	Name   string           `json:"name"`
	Digest string           `json:"digest"`
	Blobs  map[string]int64 `json:"blobs"`
}

func main() {
	hostsDir := flag.String("hosts-dir", "", "folder of <registry>/hosts.toml")
	timeout := flag.Duration("timeout", 30*time.Second, "for all of it")
	flag.Parse()
	if *hostsDir == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: resolver --hosts-dir DIR IMAGE")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	image, err := pull(ctx, *hostsDir, flag.Arg(0))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(image)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pull(ctx context.Context, hostsDir, reference string) (*pulled, error) {
	hosts := config.ConfigureHosts(ctx, config.HostOptions{HostDir: config.HostDirFromRoot(hostsDir)})
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: hosts})
	name, descriptor, err := resolver.Resolve(ctx, reference)
	if err != nil {
		return nil, err
	}
	fetcher, err := resolver.Fetcher(ctx, name)
	if err != nil {
		return nil, err
	}
	body, err := fetch(ctx, fetcher, descriptor)
	if err != nil {
		return nil, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(body, &manifest); err != nil {
		return nil, err
	}
	image := &pulled{Name: name, Digest: descriptor.Digest.String(), Blobs: map[string]int64{}}
	for _, blob := range append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...) {
		content, err := fetch(ctx, fetcher, blob)
		if err != nil {
			return nil, err
		}
		image.Blobs[blob.Digest.String()] = int64(len(content))
	}
	return image, nil
}

func fetch(ctx context.Context, fetcher remotes.Fetcher, descriptor ocispec.Descriptor) ([]byte, error) {
	reader, err := fetcher.Fetch(ctx, descriptor)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	content, err := io.ReadAll(reader)
	if err != nil {
		return nil, err
	}
	if found := fmt.Sprintf("sha256:%x", sha256.Sum256(content)); found != descriptor.Digest.String() {
		return nil, fmt.Errorf("%s was asked, and %s came", descriptor.Digest, found)
	}
	return content, nil
}
