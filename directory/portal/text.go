package portal

import (
	"fmt"
	"time"

	xlanguage "golang.org/x/text/language"
)

// texts are the words of the page in one language.
type texts struct {
	Code, Language                                      string
	Title, Intro, Label, Hint, Search                   string
	NoAddress, Unavailable, TooOften, NoPage, Closed    string
	Results, None, NoneHelp                             string
	Holder, Vouches, SelfIssued, Valid, To, Key, Serial string
	Fingerprint, FingerprintHelp, Came, Seen            string
	SaveCER, SavePEM, Best                              string
	Publish, PublishMail, PublishMailHow, PublishAPI    string
	PublishNever, Programs, About, Skip, Languages      string
	Expires                                             string
	Origins                                             map[string]string
	dateForm                                            string
	daysLeft, dayLeft                                   string
}

func (t texts) date(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(t.dateForm)
}

func (t texts) days(n int) string {
	if n == 1 {
		return t.dayLeft
	}
	return fmt.Sprintf(t.daysLeft, n)
}

// languages are those that the page speaks, the default first.
func languages() []texts { return []texts{english(), chinese()} }

// choose takes the language that was asked for, else the one that the browser
// prefers (RFC 9110 section 12.5.4).
func choose(lang, accept string) texts {
	all := languages()
	for _, t := range all {
		if t.Code == lang {
			return t
		}
	}
	const longest = 200 // of a header that somebody else wrote
	matcher := xlanguage.NewMatcher([]xlanguage.Tag{xlanguage.English, xlanguage.Chinese})
	tags, _, err := xlanguage.ParseAcceptLanguage(accept[:min(len(accept), longest)])
	if err != nil {
		return all[0]
	}
	_, i, _ := matcher.Match(tags...)
	return all[i]
}

func english() texts {
	return texts{
		Code: "en", Language: "English",
		Title:       "Find a certificate",
		Intro:       "Look up the S/MIME certificate of a mail address, to send its owner encrypted mail.",
		Label:       "Mail address",
		Hint:        "The full address, for example anna@example.org. Capital letters before the @ matter.",
		Search:      "Search",
		NoAddress:   "This is not a complete mail address. Please check it and search again.",
		Unavailable: "The directory cannot answer at the moment. Please try again in a minute.",
		TooOften:    "There were too many searches from your network. Please wait a moment and try again.",
		NoPage:      "There is no such page or file here. You can search for an address below.",
		Closed:      "This directory is searched by programs only. Please ask its operator.",
		Results:     "Certificates for", None: "No certificate",
		NoneHelp: "The directory has no valid certificate for this address. Check the spelling; or ask its owner to publish one.",
		Holder:   "Holder", Vouches: "Vouched for by", SelfIssued: "nobody but its holder (self-signed)",
		Valid: "Valid", To: "until", Key: "Key", Serial: "Serial number",
		Fingerprint:     "Fingerprint (SHA-256)",
		FingerprintHelp: "To be certain, compare it with what the holder reads to you on the phone.",
		Came:            "How it came here", Seen: "last confirmed",
		SaveCER: "Save as .cer", SavePEM: "Save as .pem", Best: "Used first",
		Publish:        "Publish your own certificate",
		PublishMail:    "By mail",
		PublishMailHow: "Send a signed message to the address below. Any mail program that can sign with S/MIME will do; the text does not matter. You get an answer that says what was learned.",
		PublishAPI:     "By program",
		PublishNever:   "Publish the certificate only. Your private key never leaves your hands: nobody here will ask for it.",
		Programs:       "Programs publish and look up over the API:",
		About:          "Description of the API", Skip: "Go to the search", Languages: "Language",
		Expires: "ends soon",
		Origins: map[string]string{
			"import": "entered by the operator", "harvest": "learned from a signed message",
			"api": "published over the API", "issued": "issued by this directory",
		},
		dateForm: "2 January 2006", daysLeft: "%d days left", dayLeft: "1 day left",
	}
}

func chinese() texts {
	return texts{
		Code: "zh", Language: "中文",
		Title:       "查找证书",
		Intro:       "查询邮件地址的 S/MIME 证书，以便向其持有人发送加密邮件。",
		Label:       "邮件地址",
		Hint:        "请输入完整地址，例如 anna@example.org。@ 之前的字母区分大小写。",
		Search:      "查询",
		NoAddress:   "这不是完整的邮件地址，请检查后重新查询。",
		Unavailable: "目录暂时无法应答，请稍后再试。",
		TooOften:    "来自您所在网络的查询过于频繁，请稍候再试。",
		NoPage:      "这里没有该页面或文件。您可以在下面查询地址。",
		Closed:      "本目录仅供程序查询，请联系运营方。",
		Results:     "证书：", None: "没有证书",
		NoneHelp: "目录中没有该地址的有效证书。请检查拼写，或请地址的所有者发布证书。",
		Holder:   "持有人", Vouches: "签发者", SelfIssued: "仅持有人自己（自签名）",
		Valid: "有效期", To: "至", Key: "密钥", Serial: "序列号",
		Fingerprint:     "指纹 (SHA-256)",
		FingerprintHelp: "为确保无误，请通过电话与持有人核对。",
		Came:            "来源", Seen: "最近确认",
		SaveCER: "保存为 .cer", SavePEM: "保存为 .pem", Best: "优先使用",
		Publish:        "发布您自己的证书",
		PublishMail:    "通过邮件",
		PublishMailHow: "向下面的地址发送一封已签名的邮件。任何支持 S/MIME 签名的邮件程序都可以，正文内容不限。您会收到答复，说明目录记录了什么。",
		PublishAPI:     "通过程序",
		PublishNever:   "只发布证书。私钥永远由您自己保管：这里不会有人向您索要。",
		Programs:       "程序可通过 API 发布和查询：",
		About:          "API 说明", Skip: "转到查询", Languages: "语言",
		Expires: "即将到期",
		Origins: map[string]string{
			"import": "由运营方录入", "harvest": "从已签名的邮件中获得", "api": "通过 API 发布", "issued": "由本目录签发",
		},
		dateForm: "2006年1月2日", daysLeft: "剩余 %d 天", dayLeft: "剩余 1 天",
	}
}
