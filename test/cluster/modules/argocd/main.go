// argocd runs what of Argo CD syncs a cluster: its application controller, its repo server and a cache between them.
// Argo CD's own binary has nine programs more and takes twice as long to build.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/alicebob/miniredis/v2"
	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/argoproj/argo-cd/v3/util/log"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// cache is the Redis that Argo CD itself brings where none is installed (`argocd admin dashboard`).
func cache() *cobra.Command {
	return &cobra.Command{
		Use:   "redis ADDRESS",
		Short: "Run a Redis in memory",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			stopped, release := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
			defer release()
			redis := miniredis.NewMiniRedis()
			if err := redis.StartAddr(args[0]); err != nil {
				return err
			}
			defer redis.Close()
			<-stopped.Done()
			return nil
		},
	}
}

func main() {
	klog.SetLogger(log.NewLogrusLogger(log.NewWithCurrentConfig()))
	root := &cobra.Command{Use: "argocd", SilenceUsage: true}
	root.AddCommand(controller.NewCommand(), reposerver.NewCommand(), cache())
	if root.Execute() != nil {
		os.Exit(1)
	}
}
