package runbook_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/runbook"
)

func load(t *testing.T, files map[string]string) *runbook.Index {
	t.Helper()
	x, err := runbook.Load(folder(files))
	require.NoError(t, err)
	return x
}

func folder(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func first(t *testing.T, x *runbook.Index, text string) runbook.Result {
	t.Helper()
	results := x.Search(text, 1)
	require.Len(t, results, 1, "for %q", text)
	return results[0]
}

var cluster = map[string]string{
	"kubernetes/KubePodCrashLooping.md": "# KubePodCrashLooping\n\n## Meaning\n\nA pod restarts again and again, `CrashLoopBackOff`.\n\n" +
		"## Diagnosis\n\n```\nkubectl get pods\nkubectl logs --previous\n```\n",
	"kubernetes/KubeNodeNotReady.md": "# KubeNodeNotReady\n\n## Meaning\n\nThe kubelet of a node no longer reports.\n\n```\nkubectl describe node\nkubectl get pods\n```\n",
	"kubernetes/KubeDaemonSetMisScheduled.md": "# KubeDaemonSetMisScheduled\n\nPods of a daemonset run where they are not supposed to run.\n\n" +
		"Look at the taints.\n",
	"kubernetes/KubeDaemonSetNotScheduled.md": "# KubeDaemonSetNotScheduled\n\nPods of a daemonset are not scheduled.\n\nLook at the taints.\n",
	"storage/volume.md":                       "---\ntitle: A volume fills up\ntags: [pvc]\n---\n\nThe PersistentVolumeClaim has little space left.\n",
}

func TestSearchFindsWhatTheAlertSays(t *testing.T) {
	x := load(t, cluster)
	require.Equal(t, 5, x.Len())
	for text, want := range map[string]string{
		"KubePodCrashLooping":                               "kubernetes/KubePodCrashLooping.md", // by its name
		"pod is crash looping":                              "kubernetes/KubePodCrashLooping.md", // by the words in its name
		"the container was restarted 12 times":              "kubernetes/KubePodCrashLooping.md", // by another form of a word
		"kubelet stopped reporting":                         "kubernetes/KubeNodeNotReady.md",
		"persistent volume claim data-0 is almost full":     "storage/volume.md",
		"DaemonSet pods are not scheduled":                  "kubernetes/KubeDaemonSetNotScheduled.md",
		"12 pods run where they are not supposed to":        "kubernetes/KubeDaemonSetMisScheduled.md",
		"KUBELET, reports!!! (node_name=\"ip-10-0-0-1\")":   "kubernetes/KubeNodeNotReady.md",
		"CrashLoopBackOff " + strings.Repeat("\x00\xff", 9): "kubernetes/KubePodCrashLooping.md",
	} {
		require.Equal(t, want, first(t, x, text).Path, "for %q", text)
	}
}

func TestSearchSaysWhy(t *testing.T) {
	x := load(t, cluster)
	got := first(t, x, "volume without space")
	require.Equal(t, "A volume fills up", got.Title)
	require.Equal(t, "The PersistentVolumeClaim has little space left.", got.Excerpt)
	require.Positive(t, got.Score)
	require.Equal(t, "KubePodCrashLooping", first(t, x, "crash").Title)
}

func TestSearchWithoutACommonWordFindsNothing(t *testing.T) {
	x := load(t, cluster)
	require.Empty(t, x.Search("zzz", 5))
	require.Empty(t, x.Search("", 5))
	require.Empty(t, x.Search("the alert fires", 5), "words that every runbook has")
	require.Empty(t, x.Search("pods", 0))
	require.Empty(t, x.Search("pods", -1))
}

func TestSearchIsTheSameEachTime(t *testing.T) {
	same := map[string]string{}
	for i := range 9 {
		same[fmt.Sprintf("rb-%d.md", i)] = "disk is full"
	}
	x := load(t, same)
	want := x.Search("disk full", 9)
	require.Len(t, want, 9)
	require.Equal(t, "rb-0.md", want[0].Path, "equal scores in the order of paths")
	for range 20 {
		require.Equal(t, want, load(t, same).Search("disk full", 9))
	}
}

func TestExcerptIsOneShortLine(t *testing.T) {
	x := load(t, map[string]string{"long.md": "# Long\n\n" + strings.Repeat("größere Wörter\nüber disk ", 200)})
	excerpt := first(t, x, "disk").Excerpt
	require.LessOrEqual(t, utf8.RuneCountInString(excerpt), 240)
	require.True(t, utf8.ValidString(excerpt))
	require.NotContains(t, excerpt, "\n")
	require.True(t, strings.HasSuffix(excerpt, "…"))
}

func TestCommandsTellLessThanText(t *testing.T) {
	x := load(t, map[string]string{
		"a.md": "# One\n\n```\netcdctl defrag\n```\n\nSee above and below, and then there is this.\n",
		"b.md": "# Two\n\netcdctl defrag\n\nSee above and below, and then there is this.\n",
	})
	require.Equal(t, "b.md", first(t, x, "etcdctl defrag").Path)
}

func TestAnUnclosedFenceOrHeadIsText(t *testing.T) {
	x := load(t, map[string]string{"a.md": "```\nnever closed etcd", "b.md": "---\nnot: [a head", "c.md": "---\ntitle: [x\n---\nbroken head etcd etcd"})
	require.Len(t, x.Search("etcd", 5), 2)
	require.Len(t, x.Search("head", 5), 2)
}

func TestLoadReadsRunbooksOnly(t *testing.T) {
	files := folder(map[string]string{"a.md": "disk", "b.MARKDOWN": "disk", "c.txt": "disk", ".git/d.md": "disk", "x.md/e.md": "disk"})
	files["long.md"] = &fstest.MapFile{Data: bytes.Repeat([]byte("disk "), runbook.MaxFileBytes)}
	files["binary.md"] = &fstest.MapFile{Data: []byte("disk \xff\xfe")}
	files["link.md"] = &fstest.MapFile{Data: []byte("a.md"), Mode: fs.ModeSymlink}
	x, err := runbook.Load(files)
	require.NoError(t, err)
	require.Equal(t, 3, x.Len())
	require.Equal(t, runbook.Skipped{TooLong: 1, NotText: 1}, x.Skipped())
}

func TestLoadRefuses(t *testing.T) {
	_, err := runbook.Load(folder(map[string]string{"a.txt": "x"}))
	require.EqualError(t, err, "no runbooks: want *.md files")

	many := fstest.MapFS{}
	for i := range runbook.MaxFiles + 1 {
		many[fmt.Sprintf("%d.md", i)] = &fstest.MapFile{}
	}
	_, err = runbook.Load(many)
	require.EqualError(t, err, "more than 20000 runbooks: want a folder of runbooks only")

	_, err = runbook.Load(brokenFS{folder(cluster)})
	require.ErrorIs(t, err, errBroken)
}

var errBroken = errors.New("broken disk")

// brokenFS is a folder whose files can be listed and not opened.
type brokenFS struct{ fstest.MapFS }

func (b brokenFS) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, ".md") {
		return nil, errBroken
	}
	return b.MapFS.Open(name)
}

func FuzzSearch(f *testing.F) {
	f.Add("# a\n\n```\nx\n```\n", "KubePodCrashLooping 10.0.0.1:9090/metrics")
	f.Add("---\ntitle: x\n---\nü", "a.b-c::d")
	f.Fuzz(func(t *testing.T, page, query string) {
		x, err := runbook.Load(fstest.MapFS{"p.md": {Data: []byte(page)}})
		if err != nil {
			t.Skip()
		}
		for _, r := range x.Search(query, 3) {
			require.Positive(t, r.Score)
			require.LessOrEqual(t, utf8.RuneCountInString(r.Excerpt), 240)
		}
	})
}
