// Checks a log that is served as c2sp.org/tlog-tiles with nothing of ours: golang.org/x/mod/sumdb/note and tlog.
//
//	go run . URL VKEY-FILE OLDER-CHECKPOINT-FILE...
//
// Verifies the checkpoint, every tile, every entry, an inclusion proof of each of them, and consistency proofs from many
// sizes, those of the older checkpoints among them. The last line says "ok" and what was checked, or what is wrong.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	done, err := check(os.Args[1], os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("ok:", done)
}

func check(url, vkeyFile string, older []string) (string, error) {
	vkey, err := os.ReadFile(vkeyFile)
	if err != nil {
		return "", err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	if err != nil {
		return "", err
	}
	signed, err := get(url + "/checkpoint")
	if err != nil {
		return "", err
	}
	tree, err := parseCheckpoint(signed, verifier)
	if err != nil {
		return "", err
	}
	reader := &tiles{url: url}
	leaves, err := leavesFromTiles(tree, reader)
	if err != nil {
		return "", err
	}
	stored, err := hashEntries(tree, url, leaves)
	if err != nil {
		return "", err
	}
	compared, err := compareTiles(tree, reader, stored)
	if err != nil {
		return "", err
	}
	for i := int64(0); i < tree.N; i++ {
		proof, err := tlog.ProveRecord(tree.N, i, stored)
		if err != nil {
			return "", err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, i, leaves[i]); err != nil {
			return "", fmt.Errorf("inclusion of %d: %v", i, err)
		}
	}
	roots, err := rootsOf(tree, stored, older, verifier)
	if err != nil {
		return "", err
	}
	for size, root := range roots {
		// From the tiles, each authenticated against the root.
		proof, err := tlog.ProveTree(tree.N, size, tlog.TileHashReader(tree, reader))
		if err != nil {
			return "", err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, size, root); err != nil {
			return "", fmt.Errorf("consistency from %d: %v", size, err)
		}
	}
	return fmt.Sprintf("%d entries, %d tiles, consistent from %d sizes", tree.N, compared, len(roots)), nil
}

// parseCheckpoint verifies a checkpoint and gives its tree.
func parseCheckpoint(signed []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint: %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// leavesFromTiles reads all leaf hashes; every tile on the way is authenticated against the root.
func leavesFromTiles(tree tlog.Tree, reader *tiles) ([]tlog.Hash, error) {
	indexes := make([]int64, tree.N)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	return tlog.TileHashReader(tree, reader).ReadHashes(indexes)
}

// hashEntries reads all entries, compares them with the leaves and gives the hashes of the tree over them.
func hashEntries(tree tlog.Tree, url string, leaves []tlog.Hash) (tlog.HashReader, error) {
	var hashes []tlog.Hash
	stored := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = hashes[index]
		}
		return found, nil
	})
	for first := int64(0); first < tree.N; first += 1 << height {
		width := min(1<<height, tree.N-first)
		bundle, err := get(url + "/" + pathOf("entries", first>>height, int(width)))
		if err != nil {
			return nil, err
		}
		for i := first; i < first+width; i++ {
			if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
				return nil, fmt.Errorf("entry %d is cut", i)
			}
			entry := bundle[2 : 2+int(binary.BigEndian.Uint16(bundle))]
			bundle = bundle[2+len(entry):]
			if tlog.RecordHash(entry) != leaves[i] {
				return nil, fmt.Errorf("entry %d is not that of the tree", i)
			}
			more, err := tlog.StoredHashes(i, entry, stored)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, more...)
		}
		if len(bundle) > 0 {
			return nil, fmt.Errorf("bytes behind entry %d", first+width-1)
		}
	}
	return stored, nil
}

// compareTiles compares every tile of the tree with what it must be.
func compareTiles(tree tlog.Tree, reader *tiles, stored tlog.HashReader) (int, error) {
	all := tlog.NewTiles(height, 0, tree.N)
	served, err := reader.ReadTiles(all)
	if err != nil {
		return 0, err
	}
	for i, tile := range all {
		wanted, err := tlog.ReadTileData(tile, stored)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(served[i], wanted) {
			return 0, fmt.Errorf("%s is not that of the tree", tile.Path())
		}
	}
	return len(all), nil
}

// rootsOf gives the roots of many sizes of the tree, and of the older checkpoints.
func rootsOf(tree tlog.Tree, stored tlog.HashReader, older []string, verifier note.Verifier) (map[int64]tlog.Hash, error) {
	roots := map[int64]tlog.Hash{}
	for size := int64(1); size <= tree.N; size *= 2 {
		for _, each := range []int64{size - 1, size, size + 1, tree.N - size} {
			if each < 1 || each > tree.N {
				continue
			}
			root, err := tlog.TreeHash(each, stored)
			if err != nil {
				return nil, err
			}
			roots[each] = root
		}
	}
	for _, file := range older {
		signed, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		old, err := parseCheckpoint(signed, verifier)
		if err != nil {
			return nil, err
		}
		roots[old.N] = old.Hash
	}
	return roots, nil
}

// tiles reads tiles over HTTP, each once.
type tiles struct {
	url   string
	known map[tlog.Tile][]byte
}

func (t *tiles) Height() int { return height }

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	if t.known == nil {
		t.known = map[tlog.Tile][]byte{}
	}
	data := make([][]byte, len(wanted))
	for i, tile := range wanted {
		if t.known[tile] == nil {
			found, err := get(t.url + "/" + pathOf(strconv.Itoa(tile.L), tile.N, tile.W))
			if err != nil {
				return nil, err
			}
			t.known[tile] = found
		}
		data[i] = t.known[tile]
	}
	return data, nil
}

// pathOf is the path of a tile in c2sp.org/tlog-tiles.
func pathOf(level string, index int64, width int) string {
	path := fmt.Sprintf("%03d", index%1000)
	for index >= 1000 {
		index /= 1000
		path = fmt.Sprintf("x%03d/%s", index%1000, path)
	}
	if width < 1<<height {
		path += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + level + "/" + path
}

func get(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(answer.Body)
}
