package portal

import (
	"net/http"
	"slices"
	"strings"
)

// A guide leads through the steps of one mail program.
type guide struct {
	Program string // in the path
	Name    string
	Link    string
	Kind    string // of the file that it reads
	Steps   []string
	Trouble []string
}

// programs are those with steps of their own.
func programs() []string { return []string{"outlook", "apple", "ios", "thunderbird"} }

const guidePath = "/claim/take/steps"

// programOf gives the program in the path of its guide.
func programOf(path string) (string, bool) {
	program, ok := strings.CutPrefix(path, guidePath+"/")
	return program, ok && slices.Contains(programs(), program)
}

func (f frame) guides() (all []guide) {
	for _, p := range programs() {
		key := "steps_" + p
		all = append(all, guide{
			Program: p, Name: f.T[key+"_name"], Link: f.To(guidePath + "/" + p), Kind: f.T[key+"_kind"],
			Steps: f.T.lines(key), Trouble: f.T.lines(key + "_trouble"),
		})
	}
	return all
}

// guides lets one choose the program. Who has no session may read too.
func (v *visit) guides() {
	v.view.Guides = v.view.guides()
	v.show("claim_steps.html")
}

// guide shows the steps of one program.
func (p *Portal) guide(w http.ResponseWriter, r *http.Request, program string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		p.Refuse(w, r, http.StatusMethodNotAllowed)
		return
	}
	v := &visit{Portal: p, w: w, r: r}
	v.begin(room{get: (*visit).guides})
	v.view.Guides = v.view.guides()
	i := slices.Index(programs(), program)
	v.view.Guide = &v.view.Guides[i]
	v.view.Title = v.view.Guide.Name
	v.show("claim_guide.html")
}
